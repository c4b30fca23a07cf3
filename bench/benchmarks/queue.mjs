export const title = 'queue'; export const plan = () => []
