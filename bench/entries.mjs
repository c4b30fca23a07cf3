/** What is appended: of one size, as a logger makes it, not all the same. */

export const LINE_BYTES = 104
/** What an entry takes at most on the disk beside its data, page cache of indexes and the like included. */
export const BESIDE_BYTES = 128

/** Distinct ones, to be used round and round: a power of two, few enough to stay in the processor's cache as a program's own lines do. */
const MOST = 1024
const MOST_BYTES = 1024 * 1024

/**
 * @param {number} bytes of each, from 4
 * @returns {string[]} ASCII. Their number is a power of two
 */
export function makeLines(bytes = LINE_BYTES) {
  const count = Math.min(MOST, Math.max(4, 2 ** Math.floor(Math.log2(MOST_BYTES / bytes))))
  const lines = Array.from({ length: count }, (_, index) => {
    const number = String(index).padStart(6, '0')
    if (bytes < LINE_BYTES) return number.padEnd(bytes, ' done').slice(-bytes)
    return `${`{"level":30,"time":1760000000000,"pid":4711,"hostname":"app","req":${number},"msg":"`.padEnd(bytes - 2, 'request completed ')}"}`
  })
  const wrong = lines.find((line) => Buffer.byteLength(line) !== bytes)
  if (wrong !== undefined) throw new Error(`expected lines of ${bytes} bytes, got ${Buffer.byteLength(wrong)}`)
  // Flat strings, as they come out of JSON.stringify: what was padded together is a tree of pieces until somebody reads it.
  return lines.map((line) => Buffer.from(line).toString('latin1'))
}

/** The same size, with a character of four bytes in each, so that no fast way for ASCII applies. */
export function makeEmojiLines(bytes = LINE_BYTES) {
  return makeLines(bytes - 4).map((line) => Buffer.from(`${line.slice(0, -2)}😀${line.slice(-2)}`).toString('utf8'))
}
