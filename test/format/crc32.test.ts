import { crc32 as zlibCrc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import { crc32 } from '../../dist/src/format/crc32.js'
import { allocateRing, openRing } from '../../dist/src/ring/ring.js'
import { below, runSeed, seededRandom } from '../model/random.js'

/** The check value of the CRC catalogue (ISO-HDLC), and texts whose checksums are widely published. */
const KNOWN: readonly (readonly [string, number])[] = [
  ['', 0x00000000],
  ['a', 0xe8b7be43],
  ['abc', 0x352441c2],
  ['123456789', 0xcbf43926],
  ['The quick brown fox jumps over the lazy dog', 0x414fa339],
  ['\0\0\0\0', 0x2144df1c],
]

function crcOf(bytes: Uint8Array, start = 0, end = bytes.length): number {
  return crc32(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), start, end)
}

test('the checksums of known texts are the known ones', () => {
  for (const [text, checksum] of KNOWN) expect(crcOf(Buffer.from(text, 'latin1')), JSON.stringify(text)).toBe(checksum)
})

test('it agrees with zlib for every length up to 2000, wherever the bytes begin', () => {
  const seed = runSeed()
  console.log(`crc32 SEED=${seed}`)
  const random = seededRandom(seed)
  const memory = Buffer.allocUnsafeSlow(4096)
  for (let at = 0; at < memory.length; at++) memory[at] = below(random, 256)
  const wrong: string[] = []
  for (let length = 0; length <= 2000; length++) {
    for (const within of [0, 1 + below(random, 15), below(random, 2000)]) {
      const view = memory.subarray(below(random, 16))
      const checksum = crcOf(view, within, within + length)
      if (checksum !== zlibCrc32(view.subarray(within, within + length))) wrong.push(`${length} bytes from ${within}`)
    }
  }
  expect(wrong).toEqual([])
})

test('it reads bytes in shared memory as any others', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(3000)).fill(0x5a)
  for (const length of [15, 16, 17, 599, 600, 601, 3000]) {
    expect(crcOf(shared, 0, length)).toBe(zlibCrc32(Buffer.alloc(length, 0x5a)))
  }
})

test('the one in WebAssembly agrees with zlib for every length up to 2000, wherever the bytes begin', () => {
  const seed = runSeed()
  console.log(`crc32 in WebAssembly SEED=${seed}`)
  const random = seededRandom(seed)
  const { operations, bytes, view, bytesAddress } = openRing(allocateRing(4096, 16, 1000))
  for (let at = 0; at < bytes.length; at++) bytes[at] = below(random, 256)
  const wrong: string[] = []
  for (let length = 0; length <= 2000; length++) {
    const start = below(random, bytes.length - length - 4)
    const end = start + length
    operations!.seal(bytesAddress + start, bytesAddress + end)
    if (view.getUint32(end, true) !== zlibCrc32(Buffer.from(bytes.subarray(start, end)))) wrong.push(`${length} bytes from ${start}`)
  }
  expect(wrong).toEqual([])
})
