import type * as Index from '../../dist/src/index.js'

export function load(path: 'index.js'): Promise<typeof Index>
