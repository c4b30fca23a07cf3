import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'

const TOP = fileURLToPath(new URL('../..', import.meta.url))
const { version, dependencies, scripts } = JSON.parse(readFileSync(join(TOP, 'package.json'), 'utf8')) as {
  version: string; dependencies: Record<string, string>; scripts: Record<string, string>
}
const TAG = /<(?:(\/)?([\w:.-]+)((?:\s+[\w:.-]+="[^"<]*")*)\s*(\/)?|\?xml[^>]*\?|!--[\s\S]*?--|!\[CDATA\[[\s\S]*?\]\])>/g

let bom: string

beforeAll(() => {
  execFileSync('npm', ['run', '--silent', 'sbom'], { cwd: TOP, stdio: ['ignore', 'ignore', 'pipe'] })
  bom = readFileSync(join(TOP, 'artifacts/bom/bom.xml'), 'utf8')
})

/** What is not well-formed: tags that do not match, or stray < and &. Undefined: nothing. */
function faultOf(xml: string): string | undefined {
  const open: string[] = []
  for (const [tag, isEnd, name, , isEmpty] of xml.matchAll(TAG)) {
    if (name === undefined || isEmpty !== undefined) continue
    if (isEnd === undefined) open.push(name)
    else if (open.pop() !== name) return `${tag} does not match`
  }
  if (open.length > 0) return `<${open.join('> <')}> not closed`
  return /<|&(?!(amp|lt|gt|quot|apos|#\d+|#x[\da-f]+);)/i.exec(xml.replaceAll(TAG, ''))?.[0]
}

test('the bill of materials is well-formed CycloneDX', () => {
  expect(faultOf(bom)).toBeUndefined()
  expect(bom).toMatch(/^<\?xml version="1\.0" encoding="UTF-8"\?>\s*<bom xmlns="http:\/\/cyclonedx\.org\/schema\/bom\/1\.\d"/)
  expect(scripts.sbom).toContain('cyclonedx-npm')
})

test('it names this package and each of its dependencies, and no tool of development', () => {
  const packages = [...bom.matchAll(/<purl>pkg:npm\/([^<?]+)/g)].map(([, name]) => decodeURIComponent(name!))
  expect(packages).toContain(`ringwal@${version}`)
  for (const name of Object.keys(dependencies)) expect(packages.some((found) => found.startsWith(`${name}@`)), name).toBe(true)
  expect(packages.filter((found) => /^(vitest|typescript|esbuild)@/.test(found))).toEqual([])
})

test.each(['<a><b></a></b>', '<a>', '<a>1 < 2</a>', '<a>b & c</a>', '<a b=c></a>'])('the check for form refuses %s', (xml) => {
  expect(faultOf(xml)).toBeDefined()
})
