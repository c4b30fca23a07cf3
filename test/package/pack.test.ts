import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build, type BuildOptions } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const TOP = fileURLToPath(new URL('../..', import.meta.url))
const PUBLISHED = /^(dist\/(src|workers)\/.+\.(js|js\.map|d\.ts)|(src|workers)\/.+\.ts|package\.json|LICENSE|README\.md)$/
const { version } = JSON.parse(readFileSync(join(TOP, 'package.json'), 'utf8')) as { version: string }

let root: string
/** A project with nothing but the package. */
let project: string
let installed: string

beforeAll(async () => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'ringwal-pack-')))
  project = join(root, 'project')
  installed = join(project, 'node_modules/ringwal')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }')
  // What is built now is packed; building again would take dist/ from under the other tests.
  await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', root], TOP)
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--silent', join(root, `ringwal-${version}.tgz`)], project)
  cpSync(join(TOP, 'test/package/smoke'), project, { recursive: true })
}, 180_000)

afterAll(() => rmSync(root, { recursive: true, force: true }))

/** What a program prints; throws with all that it said when it fails. */
async function run(command: string, args: string[], cwd: string): Promise<string> {
  const env = { ...process.env }
  for (const name of ['INIT_CWD', 'npm_config_local_prefix', 'npm_package_json']) delete env[name] // of the npm that runs this test
  try {
    return (await promisify(execFile)(command, args, { cwd, env, timeout: 120_000 })).stdout
  } catch (error) {
    const { stdout, stderr, message } = error as Error & { stdout: string; stderr: string }
    throw new Error(`${message}\n${stdout}\n${stderr}`)
  }
}

function filesOf(directory: string): string[] {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((file) => file.isFile())
  return files.map((file) => relative(directory, join(file.parentPath, file.name))).filter((path) => !path.startsWith('node_modules'))
}

describe('the package', () => {
  test('holds the library, its sources and its papers, and nothing else', () => {
    expect(filesOf(installed).filter((path) => !PUBLISHED.test(path))).toEqual([])
    expect(filesOf(installed)).toEqual(expect.arrayContaining(['LICENSE', 'package.json', 'dist/src/index.js', 'dist/workers/writer.js', 'src/index.ts']))
  })

  test('names no place on the machine that built it', () => {
    const places = [TOP.replace(/\/$/, ''), homedir(), root].filter((place) => place.length > 1)
    const found = filesOf(installed).filter((path) => places.some((place) => readFileSync(join(installed, path), 'utf8').includes(`${place}/`)))
    expect(found).toEqual([])
  })

  test('has a source map for every script, and the sources that it names', () => {
    for (const path of filesOf(installed).filter((file) => file.endsWith('.js'))) {
      const script = join(installed, path)
      const [, map] = /\n\/\/# sourceMappingURL=(.+)\s*$/.exec(readFileSync(script, 'utf8'))!
      const { sources } = JSON.parse(readFileSync(join(dirname(script), map!), 'utf8')) as { sources: string[] }
      for (const source of sources) expect(existsSync(join(dirname(script), source)), `${path}: ${source}`).toBe(true)
    }
  })
})

describe('installed into an empty project, it', () => {
  test.each([
    'append, durable, read, close, reopen',
    'a worker thread appends by attachProducer',
    'kill -9 loses nothing that was acknowledged',
    'require() from CommonJS',
    'the command line appends and prints',
  ])('passes the smoke test: %s', async (step) => {
    expect(await run(process.execPath, ['smoke.mjs', step], project)).toBe(`ok ${step}\n`)
  })

  test('puts a command into node_modules/.bin, for npx too', async () => {
    expect(await run(join(project, 'node_modules/.bin/ringwal'), ['--version'], project)).toBe(`${version}\n`)
    expect(await run('npx', ['--no', '--', 'ringwal', '--version'], project)).toBe(`${version}\n`)
  })
})

describe('TypeScript finds correct types, also in the declarations themselves,', () => {
  const link = (name: string): void => {
    const target = join(project, 'node_modules', name)
    mkdirSync(dirname(target), { recursive: true })
    if (!existsSync(target)) symlinkSync(realpathSync(join(TOP, 'node_modules', name)), target)
  }

  test.each([
    ['node16', 'node16', 'consumer.ts'],
    ['esnext', 'bundler', 'consumer.ts'],
    ['preserve', 'bundler', 'consumer.ts'],
    ['nodenext', 'nodenext', 'consumer.cts'],
  ])('with module %s, resolution %s, in %s', async (module, moduleResolution, file) => {
    link('@types/node')
    const directory = join(project, `${module}-${moduleResolution}`)
    mkdirSync(directory)
    cpSync(join(TOP, 'test/package/consumer/consumer.ts'), join(directory, file))
    writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({
      // No DOM: a server has none.
      compilerOptions: { module, moduleResolution, target: 'es2022', lib: ['es2022'], types: ['node'], strict: true, skipLibCheck: false, noEmit: true },
      files: [file],
    }))
    expect(await run(process.execPath, [join(TOP, 'node_modules/typescript/bin/tsc'), '-p', '.'], directory)).toBe('')
  })
})

describe('bundled by esbuild', () => {
  const PROGRAM = `
    async function main(directory, workerUrl) {
      const log = await openLog({ directory, workerUrl })
      await log.write('bundled')
      for await (const entry of log.read()) console.log(entry.text())
      await log.close()
    }`

  async function bundle(name: string, source: string, options: BuildOptions): Promise<string> {
    writeFileSync(join(project, name), source)
    return await bundleEntry(name, join(project, name), options)
  }

  async function bundleEntry(name: string, entry: string, options: BuildOptions): Promise<string> {
    const outfile = join(root, 'bundled', name)
    const { warnings } = await build({ entryPoints: [entry], absWorkingDir: project, outfile, bundle: true, platform: 'node', logLevel: 'silent', ...options })
    expect(warnings.map(({ id }) => id).filter((id) => id !== 'empty-import-meta')).toEqual([]) // used only without a workerUrl
    return outfile
  }

  test.each([
    ['ESM', 'esm', 'mjs', `import { openLog } from 'ringwal'\n${PROGRAM}\nawait main(process.argv[2], new URL('./worker.mjs', import.meta.url))`],
    ['CommonJS', 'cjs', 'cjs', `const { openLog } = require('ringwal')\nconst { pathToFileURL } = require('node:url')\n${PROGRAM}\nmain(process.argv[2], pathToFileURL(__dirname + '/worker.cjs'))`],
  ] as const)('to %s, with a worker bundled beside it, it runs where the package is not', async (_name, format, extension, source) => {
    await bundleEntry(`worker.${extension}`, 'ringwal/worker', { format })
    const program = await bundle(`program.${extension}`, source, { format })
    expect(await run(process.execPath, [program, join(root, `log-${format}`)], root)).toBe('bundled\n')
  })

  test('it leaves nothing of an import that is not used', async () => {
    const outfile = await bundle('unused.mjs', "import { LogMessage } from 'ringwal'", { format: 'esm' })
    expect(statSync(outfile).size).toBeLessThan(100)
  })
})
