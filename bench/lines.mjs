/** The lines that are appended: as a logger makes them, of one size, not all the same. */

export const LINE_BYTES = 104
const DISTINCT = 1024

/** To be used round and round. Its length is a power of two. */
export const lines = Array.from({ length: DISTINCT }, (_, index) => {
  const line = `{"level":30,"time":1760000000000,"pid":4711,"hostname":"app","req":${String(index).padStart(6, '0')},"msg":"`
  return `${line.padEnd(LINE_BYTES - 2, 'request completed ')}"}`
})
