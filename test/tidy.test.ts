import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { declaredCodes, parse, RULES, usedCodes, type Source } from './tidy-rules.js'

const TOP = fileURLToPath(new URL('..', import.meta.url))
/** What may stand at the top: the parts, and what a tool demands there. */
const TOP_LEVEL = new Set([
  'src', 'workers', 'bench', 'test', 'package.json', 'tsconfig.json', 'README.md',
  '.ci', '.gitignore', '.npmrc', 'LICENSE', 'package-lock.json', 'vitest.config.ts',
])

const sources = ['src', 'workers', 'bench', 'test'].flatMap(readTree)
const library = sources.filter(({ path }) => path.startsWith('src/'))
const codes = declaredCodes(library.find(({ path }) => path === 'src/errors.ts')!)

function readTree(directory: string): Source[] {
  return readdirSync(join(TOP, directory), { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile() && /\.(ts|mts|mjs|cjs)$/.test(file.name))
    .map((file) => join(file.parentPath, file.name))
    .filter((path) => !relative(TOP, path).split(sep).includes('node_modules')) // of bench
    .map((path) => parse(relative(TOP, path).split(sep).join('/'), readFileSync(path, 'utf8')))
}

test.each(RULES)('%s', (_claim, check) => {
  expect(sources.flatMap(check)).toEqual([])
})

describe('error codes', () => {
  test('every code that the library uses is declared, and every declared one is used', () => {
    const used = new Set(library.filter(({ path }) => path !== 'src/errors.ts').flatMap(usedCodes))
    used.add('ERR_WAL_INVARIANT') // by invariant(), in errors.ts itself
    expect([...used].sort()).toEqual([...codes.keys()].sort())
  })

  test('every code has a comment', () => {
    expect([...codes].filter(([, hasComment]) => !hasComment)).toEqual([])
  })

  test.skipIf(!existsSync(join(TOP, 'README.md')))('the README names every code', () => {
    const readme = readFileSync(join(TOP, 'README.md'), 'utf8')
    expect([...codes.keys()].filter((code) => !readme.includes(code))).toEqual([])
  })
})

describe('the project', () => {
  test.skipIf(!existsSync(join(TOP, '.git')))('has nothing at its top but its parts and what tools demand', () => {
    const files = execFileSync('git', ['ls-files'], { cwd: TOP, encoding: 'utf8' }).trim().split('\n')
    expect([...new Set(files.map((file) => file.split('/')[0]!))].filter((name) => !TOP_LEVEL.has(name))).toEqual([])
  })

  test('its lock file names no address to fetch from, so that any registry serves', () => {
    expect(readFileSync(join(TOP, 'package-lock.json'), 'utf8')).not.toContain('"resolved"')
  })
})

describe('each rule catches', () => {
  const long = (lines: number): string => '\n'.repeat(lines)
  test.each([
    ['modules', 'src/ring/a.ts', "import { x } from '../segment/x.js'"],
    ['modules', 'src/ring/a.ts', "export type { x } from '../disk/x.js'"],
    ['modules', 'src/log/a.ts', "import { x } from '../index.js'"],
    ['modules', 'src/log/a.ts', "import { x } from '../../workers/writer.js'"],
    ['modules', 'src/other/a.ts', ''],
    ['only writer', 'src/recovery/a.ts', "import '../ring/x.js'; import '../segment/y.js'"],
    ['node:fs', 'src/log/a.ts', "import { readSync } from 'node:fs'"],
    ['node:fs', 'src/log/a.ts', "await import('fs/promises')"],
    ['Atomics', 'src/ring/a.ts', 'Atomics.store(words, 0, 1)'],
    ['Atomics', 'workers/a.ts', 'const { load } = globalThis.Atomics'],
    ['nothing but', 'src/log/a.ts', "console.error('x')"],
    ['nothing but', 'src/log/a.ts', 'process.exit(1)'],
    ['nothing but', 'src/log/a.ts', 'const { x } = process.env'],
    ['files are short', 'src/log/a.ts', long(352)],
    ['files are short', 'workers/a.ts', long(42)],
    ['functions', 'src/log/a.ts', `const x = () => {${long(71)}}`],
    ['functions', 'src/log/a.ts', `class A { m() {${long(71)}} }`],
    ['files are named', 'src/log/aB.ts', ''],
    ['files are named', 'src/log/utils.ts', ''],
    ['files are named', 'src/log/index.ts', ''],
    ['exports', 'src/log/a.ts', 'export default function x() {}'],
    ['exports', 'src/log/a.ts', 'export default 5'],
    ['exports', 'src/log/a.ts', 'const x = 5; export { x as default }'],
    ['no class', 'src/log/a.ts', 'class A extends B {}'],
    ['no class', 'src/log/a.ts', 'class A { private x = 1 }'],
    ['every exported', 'src/log/a.ts', 'export interface A {}'],
    ['every exported', 'src/log/a.ts', '// not TSDoc\nexport function a() {}'],
    ['no test', 'test/a.test.ts', "test.only('x', () => {})"],
  ].map((row) => [row[0]!, `${row[1]}: ${row[2]!.replace(/\n+/g, ' … ')}`, ...row.slice(1)] as const))('%s: %s', (rule, _title, path, text) => {
    const [, check] = RULES.find(([claim]) => claim.startsWith(rule))!
    expect(check(parse(path, text))).toHaveLength(1)
  })

  test('nothing in what is allowed', () => {
    const allowed = parse('src/log/a.ts', `
      import { x } from '../ring/x.js'
      import { y } from '../segment/y.js'
      /** Documented. */
      export function a(p: number): void
      export function a(p: unknown): void { switch (p) { default: x(y) } }
      class B extends Error { #z = 1 }`)
    expect(RULES.flatMap(([, check]) => check(allowed))).toEqual([])
  })
})
