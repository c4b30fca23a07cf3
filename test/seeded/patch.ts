/** Changes of the built code, for seeding bugs. */

import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** One change of the text of a built file. */
export interface Patch {
  /** Path below `dist/src`. */
  readonly file: string
  /** The function or method that it is in; the whole file, if not given. */
  readonly within?: string
  /** Stands there exactly once. */
  readonly from: string | RegExp
  readonly to: string
}

/** Makes a copy of a build, its threads' entries included, that has these changes. `root` must not be there. */
export function copyPatched(build: string, root: string, patches: readonly Patch[]): void {
  cpSync(build, root, { recursive: true })
  // What it finds beside itself: the command line looks for both.
  cpSync(join(ROOT, 'package.json'), join(root, 'package.json'))
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'))
  for (const patch of patches) {
    const path = join(root, 'src', patch.file)
    writeFileSync(path, applyPatch(readFileSync(path, 'utf8'), patch))
  }
}

/** The text of the patch's file with the change made. */
export function applyPatch(text: string, { file, within, from, to }: Patch): string {
  const [start, end] = within === undefined ? [0, text.length] : extentOf(text, file, within)
  const body = text.slice(start, end)
  const places = typeof from === 'string' ? body.split(from).length - 1 : [...body.matchAll(new RegExp(from, 'g'))].length
  if (places !== 1) throw new Error(`${file} ${within ?? ''} should hold this once, it does ${places} times: ${String(from)}`)
  // What is literal stays so: no "$&" in it means anything.
  const changed = typeof from === 'string' ? body.replace(from, () => to) : body.replace(from, to)
  return text.slice(0, start) + changed + text.slice(end)
}

function extentOf(text: string, file: string, name: string): readonly [start: number, end: number] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true, ts.ScriptKind.JS)
  const find = (node: ts.Node): ts.Node | undefined => {
    const isFunction = ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node)
    return isFunction && node.name?.getText() === name ? node : ts.forEachChild(node, find)
  }
  const found = find(source)
  if (found === undefined) throw new Error(`no function ${name} in ${file} to patch`)
  return [found.getStart(), found.getEnd()]
}
