/** Other programs that take the room on a disk, and give it back. */

import type { MemoryDisk } from '../model/memory-disk.js'

const DIRECTORY = '/other'
const PATH = `${DIRECTORY}/ballast`

/** What lies on a disk beside the log. What is done here is no operation of the log, and no power cut touches it. */
export class Ballast {
  readonly #disk: MemoryDisk
  readonly #sectorBytes: number
  /** How often the disk was filled up. */
  fills = 0

  constructor(disk: MemoryDisk, sectorBytes: number) {
    this.#disk = disk
    this.#sectorBytes = sectorBytes
  }

  /** Makes the file of a new disk. */
  create(): void {
    this.#disk.makeDirectory(DIRECTORY)
    this.#disk.create(PATH).close()
    this.#disk.syncDirectory(DIRECTORY)
  }

  /** Takes all room but that for `sectors` sectors. On a disk without limit nothing happens. */
  fill(sectors: number): void {
    const bytes = this.#disk.space().freeBytes - sectors * this.#sectorBytes
    if (bytes === Infinity || bytes <= 0) return
    this.fills++
    this.#unseen((file) => file.write([new Uint8Array(bytes).fill(0xba)], file.size()))
  }

  /** Gives it all back. */
  empty(): void {
    this.#unseen((file) => file.truncate(0))
  }

  #unseen(change: (file: ReturnType<MemoryDisk['open']>) => void): void {
    const { onOperation } = this.#disk
    this.#disk.onOperation = undefined
    const file = this.#disk.open(PATH, 'write')
    change(file)
    file.sync()
    file.close()
    this.#disk.onOperation = onOperation
  }
}
