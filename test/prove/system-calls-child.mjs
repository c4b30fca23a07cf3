// A program that uses the whole of a log and tells what came of it, one system call a line, so that a kill leaves no doubt. It waits at two
// gates, where a tracer takes hold of one of its threads: before the log is opened (main thread, and the one thread of the pool), and on
// the writer's thread before it does anything. That thread is this file again, in place of the build's own worker file.
//
// Arguments: build, directory, scenario. Descriptors: 0 and 4 are the gates, 3 is where it tells.
import { createHash } from 'node:crypto'
import { mkdirSync, readlinkSync, readSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'
import { crc32 } from 'node:zlib'

const REPORTS = 3
const FIRST_GATE = 0
const WRITER_GATE = 4

const tell = (kind, more = {}) => writeSync(REPORTS, `${JSON.stringify({ kind, ...more })}\n`)
const waitAt = (gate) => readSync(gate, Buffer.alloc(1))
const threadOf = (link) => Number(/\d+$/.exec(link)[0])

/** A log in which a little is much: every few entries there is a roll. */
const OPTIONS = {
  ringBytes: 64 * 1024, maxEntryBytes: 64 * 1024, maxSegmentBytes: 16 * 1024, preallocateBytes: 4 * 1024, reserveBytes: 16 * 1024,
}

class Program {
  #library
  #directory
  #scenario
  #log
  #consumer
  #committed = 0
  #made = 0

  constructor(library, directory, scenario) {
    this.#library = library
    this.#directory = directory
    this.#scenario = scenario
  }

  /** Tells how a step failed, and goes on with the next: a log that has failed must say so each time. */
  async #step(name, act) {
    try {
      await act()
      tell('done', { step: name })
    } catch (error) {
      tell('failed', { step: name, error: this.#describe(error) })
    }
  }

  #describe(error) {
    const codes = []
    for (let at = error; at instanceof Error; at = at.cause) if (at.code !== undefined) codes.push(at.code)
    return { isWalError: error instanceof this.#library.WalError, codes, message: String(error?.message ?? error) }
  }

  async #open() {
    const open = () => this.#library.openLog({ ...OPTIONS, directory: this.#directory, workerUrl: new URL(import.meta.url) })
    try {
      this.#log = await open()
    } catch (error) {
      tell('failed', { step: 'open', error: this.#describe(error) })
      // What was in the way is gone: no hand is needed, nor a new process.
      this.#log = await open()
    }
    tell('done', { step: 'open' })
    await this.#step('consumer', () => (this.#consumer = this.#log.consumer('one')))
    this.#consumer ??= this.#log.consumer('one')
  }

  #make(bytes) {
    const label = `${this.#scenario}-${this.#made++}`
    const text = `${label} ${'x'.repeat(bytes)}`
    return { label, text, crc: crc32(text) }
  }

  /** One entry, or a group of several: accepted, then durable. */
  async #append(...sizes) {
    const made = sizes.map((bytes) => this.#make(bytes))
    const labels = made.map(({ label }) => label)
    tell('making', { entries: made.map(({ label, crc }) => ({ label, crc })) })
    const first = await this.#accept(made.map(({ text }) => text)).catch((error) => {
      tell('refused', { labels })
      throw error
    })
    tell('accepted', { first, labels })
    await this.#log.durable(first + made.length - 1)
    tell('acknowledged', { first, labels })
  }

  async #accept(texts) {
    for (;;) {
      try {
        return texts.length === 1 ? this.#log.append(texts[0]) : this.#log.appendGroup(texts)
      } catch (error) {
        if (error.code !== 'ERR_WAL_DISK_FULL') throw error
        await this.#log.ready(1)
      }
    }
  }

  async #write(bytes) {
    const { label, text, crc } = this.#make(bytes)
    tell('making', { entries: [{ label, crc }] })
    const { sequence } = await this.#log.write(text)
    tell('acknowledged', { first: sequence, labels: [label] })
  }

  async #upload(bytes) {
    const { label } = this.#make(0)
    const content = Buffer.alloc(bytes, label)
    tell('uploading', { label, bytes, sha256: createHash('sha256').update(content).digest('hex') })
    for (;;) {
      try {
        const { sequence } = await this.#log.appendFile([content.subarray(0, 1000), content.subarray(1000)], { metadata: { label } })
        tell('acknowledged', { first: sequence, labels: [label] })
        return sequence
      } catch (error) {
        if (error.code !== 'ERR_WAL_DISK_FULL') throw error
        await this.#log.ready(1)
      }
    }
  }

  /** Takes what comes, all but a few entries, and commits it; what was committed already would show nothing. */
  async #consume(butLast) {
    const upTo = Math.max(this.#committed + 1, this.#log.lastSequence - butLast)
    for await (const entry of this.#consumer) if (entry.sequence >= upTo) break
    tell('committing', { sequence: upTo })
    this.#consumer.commit(upTo)
    await this.#consumer.committed(upTo)
    tell('committed', { sequence: upTo })
    this.#committed = upTo
  }

  /** From an empty place to the end. */
  async fresh() {
    await this.#open()
    for (const bytes of [100, 0, 300]) await this.#step('append', () => this.#append(bytes))
    await this.#step('appendGroup', () => this.#append(50, 60, 70))
    await this.#step('append, large', () => this.#append(20_000))
    await this.#step('appendFile', () => this.#upload(3000))
    await this.#step('roll', () => this.#log.roll())
    await this.#step('append', () => this.#append(100))
    await this.#step('consume', () => this.#consume(1))
    await this.#step('checkpoint', () => this.#log.checkpoint())
    for (let count = 0; count < 7; count++) await this.#step('append', () => this.#append(3000))
    await this.#step('appendFile', () => this.#upload(2000))
    await this.#step('write', () => this.#write(500))
    await this.#step('consume', () => this.#consume(5))
    await this.#step('checkpoint', () => this.#log.checkpoint())
    await this.#step('append', () => this.#append(100))
    await this.#step('close', () => this.#log.close())
  }

  /** What {@link leave} left is recovered, and gone on with. */
  async left() {
    await this.#open()
    await this.#step('append', () => this.#append(100))
    await this.#step('appendFile', () => this.#upload(2000))
    await this.#step('consume', () => this.#consume(0))
    await this.#step('checkpoint', () => this.#log.checkpoint())
    await this.#step('close', () => this.#log.close())
  }

  /**
   * Leaves, by a kill, one of all that a crash can leave: an open tail, a spare, a dead lock, an upload half-way, one that has its entry and not
   * its place, and a file whose entry is lost.
   */
  async leave() {
    await this.#open()
    for (let count = 0; count < 11; count++) await this.#append(3000)
    await this.#upload(3000)
    const sequence = await this.#upload(1500)
    await this.#append(10, 20)
    await this.#consume(this.#log.lastSequence - 7)
    await this.#log.checkpoint()
    const { decodeFileInfo } = await import(new URL('src/log/entry-file.js', this.#library.build))
    const { uuid } = decodeFileInfo((await this.#log.get(sequence)).data)
    const digits = (number) => String(number).padStart(16, '0')
    const blobs = join(this.#directory, 'blobs')
    mkdirSync(join(blobs, 'incoming'), { recursive: true })
    renameSync(join(blobs, `${digits(sequence)}.blob`), join(blobs, 'incoming', `${digits(sequence)}-${uuid}.blob`))
    writeFileSync(join(blobs, 'incoming', `${'0'.repeat(32)}.part`), 'half')
    writeFileSync(join(blobs, `${digits(1000)}.blob`), 'of an entry that is lost')
    process.kill(process.pid, 'SIGKILL')
  }
}

if (isMainThread) {
  const [path, directory, scenario] = process.argv.slice(2)
  const build = pathToFileURL(`${path}/`).href
  const library = { ...await import(new URL('src/index.js', build)), build }
  setEnvironmentData('build', build)
  // One thread in the pool: it answers for itself.
  tell('threads', { main: process.pid, pool: threadOf(await readlink('/proc/thread-self')) })
  waitAt(FIRST_GATE)
  await new Program(library, directory, scenario)[scenario]()
  tell('end')
} else {
  const build = getEnvironmentData('build')
  await import(new URL('src/writer/run-writer.js', build))
  tell('writer', { thread: threadOf(readlinkSync('/proc/thread-self')) })
  // A later writer of the same process finds the gate open: its other end is closed by then.
  waitAt(WRITER_GATE)
  await import(new URL('workers/writer.js', build))
}
