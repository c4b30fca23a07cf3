/** Installs what ringwal is measured against: bench/package.json, with its own lock, when a benchmark needs it for the first time. */

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const LOCK = `${HERE}package-lock.json`
const STAMP = `${HERE}node_modules/.installed-for`
/** They come without a native part for every platform: it is built here, by node-gyp, from the sources in the package. */
const BUILT = 'better-sqlite3'
/** Loads a peer as its store does, and uses it once where loading alone does not show that it works. */
const TRIALS = {
  'better-sqlite3': `new (require('better-sqlite3'))(':memory:').exec('SELECT 1')`,
  lmdb: `require('lmdb').open({}).close()`,
  'classic-level': `require('classic-level')`,
  pino: `require('pino')`,
  'sonic-boom': `require('sonic-boom')`,
  winston: `require('winston')`,
  '@logtape/file': `require('@logtape/file')`,
  liteque: `import('liteque').then(async ({ buildDBClient, SqliteQueue }) => {
    const database = buildDBClient(':memory:', { runMigrations: true })
    const queue = new SqliteQueue('trial', database, { defaultJobArgs: { numRetries: 1 }, keepFailedJobs: false })
    await queue.enqueue({})
    await queue.attemptDequeue({ timeoutSecs: 1 })
  })`,
  plainjob: `import('plainjob')`,
}
const run = promisify(execFile)

/**
 * @param {(text: string) => void} say
 * @returns {Promise<Map<string, string>>} peers that could not be had, and why
 */
export async function installPeers(say) {
  const wanted = `${process.version} ${process.arch} ${createHash('sha256').update(readFileSync(LOCK)).digest('hex')}`
  if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== wanted) {
    say('Installing what ringwal is measured against (bench/package-lock.json) ...')
    try {
      await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: HERE })
      if (await tryOut(BUILT) !== undefined) await build(say)
      writeFileSync(STAMP, wanted)
    } catch (error) {
      say(`They could not be installed: ${error.stderr ?? error.message}`)
    }
  }
  const missing = new Map()
  for (const peer of Object.keys(TRIALS)) {
    const why = await tryOut(peer)
    if (why !== undefined) missing.set(peer, why)
  }
  for (const [peer, why] of missing) say(`${peer} could not be had, and is left out: ${why}`)
  return missing
}

/** Without it the benchmarks go on: what needs it is left out, and the report says why. */
async function build(say) {
  say(`Building ${BUILT} (about a minute; needs python3, make, g++ and the headers of Node) ...`)
  try {
    await run('npm', ['run', 'build-release'], { cwd: `${HERE}node_modules/${BUILT}`, maxBuffer: 2 ** 28 })
  } catch (error) {
    say(`${BUILT} could not be built: ${error.stderr.trimEnd().split('\n').slice(-5).join('\n')}`)
  }
}

/** Undefined: it works. In a process of its own, since what is native may crash. */
async function tryOut(peer) {
  try {
    await run(process.execPath, ['-e', TRIALS[peer]], { cwd: HERE })
    return undefined
  } catch (error) {
    return error.stderr.split('\n').find((line) => /^\w*Error\b.*: /.test(line)) ?? `ended by ${error.signal ?? error.code}`
  }
}
