/** The rules of style that a machine can check, each a function from one source file to what is wrong in it. */

import { basename, dirname, posix } from 'node:path'
import ts from 'typescript'

/** Modules import from their left only. `index` is the public face. */
const MODULES = [
  'errors', 'option-values', 'format', 'sync', 'ring', 'disk', 'segment', 'recovery', 'writer', 'log', 'queue', 'index', 'integrations', 'cli',
] as const
/** The modules that may know both shared memory and files. */
const KNOW_RING_AND_SEGMENT = new Set(['writer', 'log'])
const EMPTY_NAMES = new Set(['utils', 'util', 'common', 'helpers', 'helper', 'types', 'misc'])
const MAX_LINES: Record<string, number> = { src: 350, workers: 40, bench: 350, test: 750 }
const MAX_FUNCTION_LINES = 70

/** One source file, parsed. */
export interface Source {
  /** Path from the project's top, with slashes. */
  readonly path: string
  readonly text: string
  readonly tree: ts.SourceFile
}

/** What is wrong, and where. */
export type Complaint = string

/** A rule's name and its check of one file. */
export type Rule = readonly [claim: string, check: (source: Source) => Complaint[]]

/** Parses a source file. */
export function parse(path: string, text: string): Source {
  return { path, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true) }
}

/** The module that a path in src/ belongs to; undefined elsewhere. */
export function moduleOf(path: string): string | undefined {
  return /^src\/([^/.]+)/.exec(path)?.[1]
}

function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node
  for (const child of node.getChildren()) yield* nodesOf(child)
}

function* find<T extends ts.Node>(source: Source, is: (node: ts.Node) => node is T): Generator<T> {
  for (const node of nodesOf(source.tree)) if (is(node)) yield node
}

function lineOf(source: Source, position: number): number {
  return source.tree.getLineAndCharacterOfPosition(position).line + 1
}

function complain(source: Source, node: ts.Node, what: string): Complaint {
  return `${source.path}:${lineOf(source, node.getStart())} ${what}`
}

/** What a file imports: by import, export … from, import() and require(). */
function importsOf(source: Source): { node: ts.Node; from: string; target: string }[] {
  const found = []
  for (const node of find(source, ts.isStringLiteral)) {
    const { parent } = node
    const isCall = ts.isCallExpression(parent) && /^(import|require)$/.test(parent.expression.getText())
    if (!ts.isImportDeclaration(parent) && !ts.isExportDeclaration(parent) && !isCall) continue
    const target = node.text.startsWith('.') ? posix.join(dirname(source.path), node.text) : node.text
    found.push({ node, from: node.text, target })
  }
  return found
}

function importOrder(source: Source): Complaint[] {
  const own = MODULES.indexOf(moduleOf(source.path) as typeof MODULES[number])
  if (!source.path.startsWith('src/')) return []
  if (own < 0) return [`${source.path} is in no known module`]
  return importsOf(source).filter(({ from }) => from.startsWith('.')).flatMap(({ node, target }) => {
    const other = MODULES.indexOf(moduleOf(target) as typeof MODULES[number])
    if (other < 0) return [complain(source, node, `imports ${target}: not a module of src/`)]
    return other > own ? [complain(source, node, `${MODULES[own]} imports from ${MODULES[other]}, which stands to its right`)] : []
  })
}

function ringAndSegment(source: Source): Complaint[] {
  const module = moduleOf(source.path)
  if (module === undefined || KNOW_RING_AND_SEGMENT.has(module)) return []
  const known = new Set(importsOf(source).map(({ target }) => moduleOf(target)))
  return known.has('ring') && known.has('segment') ? [`${source.path} knows both ring and segment`] : []
}

function fileSystem(source: Source): Complaint[] {
  if (!source.path.startsWith('src/') || moduleOf(source.path) === 'disk') return []
  return importsOf(source).filter(({ from }) => /^(node:)?fs(\/promises)?$/.test(from)).map(({ node, from }) => complain(source, node, `imports ${from}`))
}

function atomics(source: Source): Complaint[] {
  if (!/^(src|workers)\//.test(source.path) || moduleOf(source.path) === 'sync') return []
  return [...find(source, ts.isIdentifier)].filter((node) => node.text === 'Atomics').map((node) => complain(source, node, 'uses Atomics'))
}

function silence(source: Source): Complaint[] {
  if (!/^(src|workers)\//.test(source.path) || moduleOf(source.path) === 'cli') return []
  const forbidden = /^(console\..*|process\.(exit|abort|env|argv|stdout|stderr))$/
  return [...find(source, ts.isPropertyAccessExpression)].filter((node) => forbidden.test(node.getText())).map((node) => complain(source, node, `says ${node.getText()}`))
}

function fileLength(source: Source): Complaint[] {
  const most = MAX_LINES[source.path.split('/')[0]!]!
  const lines = source.text.replace(/\n$/, '').split('\n').length
  return lines > most ? [`${source.path} has ${lines} lines, more than ${most}`] : []
}

function functionLength(source: Source): Complaint[] {
  if (source.path.startsWith('test/')) return []
  return [...find(source, (node): node is ts.FunctionLikeDeclaration => ts.isFunctionLike(node) && 'body' in node)].flatMap((node) => {
    const lines = lineOf(source, node.end) - lineOf(source, node.getStart()) + 1
    return lines > MAX_FUNCTION_LINES ? [complain(source, node, `a function of ${lines} lines, more than ${MAX_FUNCTION_LINES}`)] : []
  })
}

function fileName(source: Source): Complaint[] {
  const name = basename(source.path).replace(/(\.(test|d|config))?\.(ts|mts|mjs|cjs)$/, '')
  const complaints = []
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) complaints.push(`${source.path} is not kebab-case`)
  if (EMPTY_NAMES.has(name)) complaints.push(`${source.path}: a name that says nothing`)
  if (name === 'index' && source.path !== 'src/index.ts') complaints.push(`${source.path}: an inner index`)
  return complaints
}

function namedExports(source: Source): Complaint[] {
  if (!/^(src|workers)\//.test(source.path)) return []
  const nodes = [...nodesOf(source.tree)].filter((node) =>
    ts.isExportAssignment(node) ||
    (ts.isExportSpecifier(node) && node.name.text === 'default') ||
    (ts.canHaveModifiers(node) && node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword)))
  return nodes.map((node) => complain(source, node, 'a default export'))
}

function classes(source: Source): Complaint[] {
  if (!source.path.startsWith('src/')) return []
  const inherits = [...find(source, ts.isHeritageClause)]
    .filter((node) => ts.isClassLike(node.parent) && node.token === ts.SyntaxKind.ExtendsKeyword && node.types[0]?.getText() !== 'Error')
    .map((node) => complain(source, node, `inherits: ${node.getText()}`))
  const hidden = [...nodesOf(source.tree)]
    .filter((node) => node.kind === ts.SyntaxKind.PrivateKeyword || node.kind === ts.SyntaxKind.ProtectedKeyword)
    .filter((node) => !ts.isConstructorDeclaration(node.parent)) // which # cannot say
    .map((node) => complain(source, node, `${node.getText()} instead of #`))
  return [...inherits, ...hidden]
}

function documented(source: Source): Complaint[] {
  if (!source.path.startsWith('src/')) return []
  return source.tree.statements
    .filter((node) => ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node))
    .filter((node) => node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword))
    .filter((node) => ts.getJSDocCommentsAndTags(node).length === 0 && !isOverload(source, node))
    .map((node) => complain(source, node, `${node.name?.text} has no TSDoc`))
}

/** A further signature, or the body, of a function whose first signature is documented. */
function isOverload(source: Source, node: ts.Statement): boolean {
  const before = source.tree.statements[source.tree.statements.indexOf(node) - 1]
  return before !== undefined && ts.isFunctionDeclaration(node) && ts.isFunctionDeclaration(before) && before.name?.text === node.name?.text
}

function wholeSuite(source: Source): Complaint[] {
  if (!source.path.startsWith('test/')) return []
  return [...find(source, ts.isPropertyAccessExpression)]
    .filter((node) => /^(test|it|describe)(\.\w+)*\.only$/.test(node.getText()))
    .map((node) => complain(source, node, `${node.getText()}: all others would not run`))
}

/** Every rule. */
export const RULES: readonly Rule[] = [
  ['modules import from their left only, and workers never', importOrder],
  ['only writer and log know both ring and segment', ringAndSegment],
  ['node:fs is imported in src/disk only', fileSystem],
  ['Atomics is used in src/sync only', atomics],
  ['nothing but the command line prints, exits or reads the environment', silence],
  ['files are short', fileLength],
  ['functions are short', functionLength],
  ['files are named by a noun, in kebab-case, and index.ts stands at the top only', fileName],
  ['exports are named', namedExports],
  ['no class inherits but from Error, and private state is #private', classes],
  ['every exported function, class, interface and type has a comment', documented],
  ['no test is singled out', wholeSuite],
]

/** The codes of the union type in errors.ts, with whether each has a comment. */
export function declaredCodes(errors: Source): Map<string, boolean> {
  const codes = new Map<string, boolean>()
  for (const alias of find(errors, ts.isTypeAliasDeclaration)) {
    if (alias.name.text !== 'WalErrorCode' || !ts.isUnionTypeNode(alias.type)) continue
    for (const member of alias.type.types) {
      // The comment stands before the bar.
      const before = errors.text.slice(0, member.getStart()).trimEnd().replace(/\|$/, '').trimEnd()
      codes.set(member.getText().slice(1, -1), before.endsWith('*/'))
    }
  }
  return codes
}

/** The codes that a file mentions in code. */
export function usedCodes(source: Source): string[] {
  return [...find(source, ts.isStringLiteralLike)].map((node) => node.text).filter((text) => /^ERR_WAL_[A-Z_]+$/.test(text))
}
