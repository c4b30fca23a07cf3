export const title = 'growth'; export const plan = () => []
