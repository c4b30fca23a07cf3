/** Every code block of the README is run as a user would. */

import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const blocks = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, code]) => ({ language: language!, code: code! }))
const scripts = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }).scripts

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringwal-readme-'))
  mkdirSync(join(folder, 'bin'))
  writeFileSync(join(folder, 'bin', 'ringwal'), `#!/bin/sh\nexec node ${join(root, 'dist/src/cli/main.js')} "$@"\n`, { mode: 0o755 })
  // A project with the package and its peers installed.
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the README', () => {
  it('has code blocks in languages that this test runs', () => {
    expect(blocks.length).toBeGreaterThan(8)
    expect([...new Set(blocks.map((block) => block.language))].sort()).toEqual(['js', 'sh'])
  })

  for (const [index, { language, code }] of blocks.entries()) {
    const title = code.trim().split('\n').find((line) => !line.startsWith('import') && line.trim() !== '') ?? ''
    if (language === 'js') it(`block ${index} runs: ${title}`, () => runProgram(index, code))
    else if (/^npm /m.test(code)) it(`block ${index} names scripts that exist: ${title}`, () => checkScripts(code))
    else it(`block ${index} runs in a shell: ${title}`, () => runShell(code))
  }

  it('documents every error code that the package has', () => {
    const codes = [...readFileSync(join(root, 'src/errors.ts'), 'utf8').matchAll(/\| '(ERR_WAL_\w+)'/g)].map((match) => match[1]!)
    expect(codes.length).toBeGreaterThan(9)
    for (const code of codes) expect(readme).toContain(`\`${code}\``)
  })
})

/** The package refers to itself by name from within its own folder, as a dependency would. */
async function runProgram(index: number, code: string): Promise<void> {
  const program = join(root, 'dist', 'readme', `block-${index}.mjs`)
  mkdirSync(join(root, 'dist', 'readme'), { recursive: true })
  writeFileSync(program, code)
  const cwd = mkdtempSync(join(folder, 'program-'))
  const { stderr } = await run(process.execPath, [program], { cwd, timeout: 30_000 })
  expect(stderr).toBe('')
}

function checkScripts(code: string): void {
  const names = [...code.matchAll(/npm (?:run )?(\w+)/g)].map((match) => match[1]!).filter((name) => name !== 'ci')
  expect(names.length).toBeGreaterThan(0)
  for (const name of names) expect(scripts).toHaveProperty(name)
}

async function runShell(code: string): Promise<void> {
  const cwd = mkdtempSync(join(folder, 'shell-'))
  const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', code], {
    cwd, timeout: 30_000, env: { ...process.env, PATH: `${join(folder, 'bin')}:${process.env.PATH}` },
  })
  expect(stdout.length).toBeGreaterThan(0)
}
