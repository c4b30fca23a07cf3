export function drawPage() { return '' }
