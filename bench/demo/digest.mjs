/** What an entry is recognized by, when it is read again. */

import { hash } from 'node:crypto'

/** @param {string | Uint8Array} line */
export function digest(line) {
  return hash('sha256', line).slice(0, 16)
}
