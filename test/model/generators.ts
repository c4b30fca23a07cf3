/**
 * The ring code that ships, turned into generators.
 *
 * Reads the built files of `src/ring` (and what they import of `src/sync`) and rewrites them by syntax
 * alone, so that the code which is explored is the code which runs, statement for statement:
 *
 * 1. `atomics.load(words, i)`, and every other call on `atomics`, becomes `yield` of a {@link Step}; so does `words[i]`, which
 *    races with other threads as much;
 * 2. so does every plain access to shared memory that another step makes visible: `slots[i]`, `frameTicks(view, offset)`,
 *    `sealFrame(bytes, …)`, and what is called on `failure`. Such a step is marked plain;
 * 3. every function that contains a step, itself or through a call, becomes a generator, and calls to it `yield*`;
 * 4. `#x` becomes `$x`, so that a thread's private state can be compared.
 *
 * After that a thread touches shared memory through steps alone, and what it does is a function of their results.
 * Whatever this cannot rewrite it refuses. What slips through meets an atomics seam that throws (explore.ts).
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { applyPatch, type Patch } from '../seeded/patch.js'

/** One access to shared memory that a thread asks for. */
export interface Step {
  readonly name: string
  readonly args: readonly unknown[]
  /** Not an operation of `Atomics`. */
  readonly plain: boolean
}

/** A running function of the transformed code. */
export type Steps<Result> = Generator<Step, Result, unknown>

/** A function after the transformation. */
export type Stepping<Function> = Function extends (...args: infer Args) => infer Result
  ? (...args: Args) => Steps<Result>
  : never

/** Functions that come in from the caller and are generators there. */
const CALLBACKS = new Set(['fill', 'hasWork', 'isDead', '#isDead', 'append'])
/** Functions of other modules that read shared bytes. */
const PLAIN_READERS = new Set(['frameTicks'])
/** Functions of other modules that write to shared bytes, their first argument. */
const PLAIN_WRITERS = new Set(['sealFrame'])
/** Arrays of shared words that are also accessed plainly; and how such an access counts. */
const SHARED_ARRAYS: { readonly [name: string]: 'plain' | 'step' } = { slots: 'plain', words: 'step' }

const BINDINGS = { step, plain: (name: string, ...args: unknown[]): Step => ({ name, args, plain: true }), filter, some, map, find }

/** The step of that name. */
export function step(name: string, ...args: unknown[]): Step {
  return { name, args, plain: false }
}

function* filter<T>(items: readonly T[], accept: (item: T) => Steps<boolean>): Steps<T[]> {
  const accepted: T[] = []
  for (const item of items) if (yield* accept(item)) accepted.push(item)
  return accepted
}

function* some<T>(items: readonly T[], accept: (item: T) => Steps<boolean>): Steps<boolean> {
  for (const item of items) if (yield* accept(item)) return true
  return false
}

function* map<T, U>(items: readonly T[], turn: (item: T) => Steps<U>): Steps<U[]> {
  const turned: U[] = []
  for (const item of items) turned.push(yield* turn(item))
  return turned
}

function* find<T>(items: readonly T[], accept: (item: T) => Steps<boolean>): Steps<T | undefined> {
  for (const item of items) if (yield* accept(item)) return item
  return undefined
}

interface Module {
  readonly path: string
  readonly source: ts.SourceFile
  readonly imports: readonly string[]
}

/** Loads modules of a build (`entries`: paths below its `src`) as generators: all their exports in one object. */
export async function loadStepping(build: string, entries: readonly string[], patches: readonly Patch[] = []): Promise<Record<string, unknown>> {
  const root = join(build, 'src')
  const modules = new Map<string, Module>()
  for (const entry of entries) readModule(root, entry, patches, modules)
  for (const { file } of patches) if (!modules.has(file)) throw new Error(`no module ${file} to patch`)
  const stepping = findStepping([...modules.values()])
  const loaded = new Map<string, object>()
  for (const { imports } of modules.values()) {
    for (const path of imports) if (!modules.has(path)) loaded.set(path, await import(pathToFileURL(join(root, path)).href) as object)
  }
  const load = (path: string): object => {
    const known = loaded.get(path)
    if (known !== undefined) return known
    const exports = {}
    loaded.set(path, exports)
    const code = rewrite(modules.get(path)!, stepping)
    const run = new Function('require', 'exports', '$', `${code}\n//# sourceURL=stepping/${path}`) as
      (require: (name: string) => object, exports: object, $: typeof BINDINGS) => void
    run((name) => load(resolve(path, name)), exports, BINDINGS)
    return exports
  }
  return Object.assign({}, ...entries.map(load)) as Record<string, unknown>
}

function resolve(from: string, name: string): string {
  return new URL(name, `file:///${from}`).pathname.slice(1)
}

/** The ring's own modules are transformed, with the event count; the rest is imported as it is. */
function isTransformed(path: string): boolean {
  return path.startsWith('ring/') || path === 'sync/event-count.js'
}

function readModule(root: string, path: string, patches: readonly Patch[], modules: Map<string, Module>): void {
  if (modules.has(path)) return
  let text = readFileSync(join(root, path), 'utf8')
  for (const patch of patches) if (patch.file === path) text = applyPatch(text, patch)
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true, ts.ScriptKind.JS)
  const imports = source.statements.filter(ts.isImportDeclaration)
    .map((statement) => resolve(path, (statement.moduleSpecifier as ts.StringLiteral).text))
  modules.set(path, { path, source, imports })
  for (const other of imports) if (isTransformed(other)) readModule(root, other, patches, modules)
}

type Named = ts.FunctionDeclaration | ts.MethodDeclaration

function functionsOf(root: ts.Node): Named[] {
  const found: Named[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node)) found.push(node)
    ts.forEachChild(node, visit)
  }
  visit(root)
  return found
}

function nameOf(node: Named): string {
  return node.name?.getText() ?? ''
}

/** Names of all functions that contain a step, by fixpoint. */
function findStepping(modules: readonly Module[]): ReadonlySet<string> {
  const all = modules.flatMap(({ source }) => functionsOf(source))
  const stepping = new Set(CALLBACKS)
  for (let before = -1; before < stepping.size;) {
    before = stepping.size
    for (const node of all) if (containsStep(node.body, stepping)) stepping.add(nameOf(node))
  }
  for (const name of stepping) {
    const bodies = all.filter((node) => nameOf(node) === name && containsStep(node.body, stepping))
    const others = all.filter((node) => nameOf(node) === name)
    if (bodies.length !== others.length) throw new Error(`two functions are called ${name}, and only one of them steps`)
  }
  return stepping
}

function containsStep(node: ts.Node | undefined, stepping: ReadonlySet<string>): boolean {
  if (node === undefined) return false
  if (isAccess(node) || (ts.isCallExpression(node) && stepping.has(calleeName(node)))) return true
  return ts.forEachChild(node, (child) => containsStep(child, stepping) || undefined) ?? false
}

function calleeName({ expression }: ts.CallExpression): string {
  if (ts.isIdentifier(expression)) return expression.text
  return ts.isPropertyAccessExpression(expression) ? expression.name.text : ''
}

/** The last name of `a`, `x.a`, `this.#a`. */
function lastName(node: ts.Node): string {
  if (ts.isIdentifier(node)) return node.text
  return ts.isPropertyAccessExpression(node) ? node.name.text : ''
}

function isAccess(node: ts.Node): boolean {
  return isSharedElement(node) || (ts.isCallExpression(node) && accessKind(node) !== undefined)
}

function isSharedElement(node: ts.Node): node is ts.ElementAccessExpression {
  return ts.isElementAccessExpression(node) && lastName(node.expression) in SHARED_ARRAYS
}

function accessKind({ expression }: ts.CallExpression): 'atomic' | 'failure' | 'reader' | 'writer' | undefined {
  if (ts.isIdentifier(expression)) return PLAIN_READERS.has(expression.text) ? 'reader' : PLAIN_WRITERS.has(expression.text) ? 'writer' : undefined
  if (!ts.isPropertyAccessExpression(expression)) return undefined
  const owner = lastName(expression.expression)
  return owner === 'atomics' ? 'atomic' : owner === 'failure' ? 'failure' : undefined
}

/** What was rewritten already: most modules are the same in every model. */
const REWRITTEN = new Map<string, string>()

function rewrite(module: Module, stepping: ReadonlySet<string>): string {
  const key = [module.path, ...stepping, module.source.text].join('\n')
  const known = REWRITTEN.get(key) ?? rewriteAnew(module, stepping)
  REWRITTEN.set(key, known)
  return known
}

/** The module as CommonJS, its steps as `yield`. */
function rewriteAnew({ path, source }: Module, stepping: ReadonlySet<string>): string {
  refuseValues(source, stepping)
  const { transformed } = ts.transform(source, [(context) => (root) => ts.visitNode(root, makeVisitor(context, stepping)) as ts.SourceFile])
  const text = ts.createPrinter().printFile(transformed[0]!)
  const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2023 }
  return ts.transpileModule(text, { compilerOptions, fileName: path }).outputText
}

/** A stepping function that is passed on as a value, not called, would go unseen: refused. */
function refuseValues(source: ts.SourceFile, stepping: ReadonlySet<string>): void {
  const functions = functionsInScope(source)
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return
    if (ts.isIdentifier(node) && stepping.has(node.text) && functions.has(node.text)) {
      const { parent } = node
      const isCalled = ts.isCallExpression(parent) && parent.expression === node
      const isName = ts.isPropertyAccessExpression(parent) || ((ts.isFunctionDeclaration(parent) || ts.isMethodDeclaration(parent)) && parent.name === node)
      if (!isCalled && !isName) throw new Error(`${source.fileName}: ${node.text} is used as a value: ${parent.getText()}`)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
}

/** Names of functions that the module declares, and all that it imports. */
function functionsInScope(source: ts.SourceFile): Set<string> {
  const names = new Set(functionsOf(source).map(nameOf))
  for (const statement of source.statements) {
    const bindings = ts.isImportDeclaration(statement) ? statement.importClause?.namedBindings : undefined
    if (bindings !== undefined && ts.isNamedImports(bindings)) for (const { name } of bindings.elements) names.add(name.text)
  }
  return names
}

function makeVisitor(context: ts.TransformationContext, stepping: ReadonlySet<string>): ts.Visitor {
  const f = context.factory
  const star = (): ts.AsteriskToken => f.createToken(ts.SyntaxKind.AsteriskToken)
  const binding = (name: keyof typeof BINDINGS): ts.Expression => f.createPropertyAccessExpression(f.createIdentifier('$'), name)
  const yieldStep = (kind: 'step' | 'plain', name: string, ...args: readonly ts.Expression[]): ts.Expression =>
    f.createParenthesizedExpression(f.createYieldExpression(undefined, f.createCallExpression(binding(kind), undefined, [f.createStringLiteral(name), ...args])))
  const yieldAll = (call: ts.Expression): ts.Expression => f.createParenthesizedExpression(f.createYieldExpression(star(), call))
  const go = <T extends ts.Node>(node: T): T => ts.visitNode(node, visit) as T

  const visitCall = (node: ts.CallExpression): ts.Expression => {
    const args = node.arguments.map(go)
    const kind = accessKind(node)
    if (kind === 'reader' || kind === 'writer') return yieldStep('plain', kind === 'reader' ? 'call' : 'call-writing', go(node.expression), ...args)
    if (kind !== undefined) {
      const { name, expression } = node.expression as ts.PropertyAccessExpression
      return kind === 'atomic' ? yieldStep('step', name.text, ...args) : yieldStep('plain', `bytes-${name.text}`, go(expression), ...args)
    }
    if (stepping.has(calleeName(node))) return yieldAll(ts.visitEachChild(node, visit, context))
    if (!node.arguments.some((argument) => ts.isArrowFunction(argument) && containsStep(argument.body, stepping))) return ts.visitEachChild(node, visit, context)
    const name = calleeName(node)
    if (name !== 'filter' && name !== 'some' && name !== 'map' && name !== 'find') throw new Error(`no generator form of ${node.getText()}`)
    return yieldAll(f.createCallExpression(binding(name), undefined, [go((node.expression as ts.PropertyAccessExpression).expression), ...args]))
  }

  const visitArrow = (node: ts.ArrowFunction): ts.Expression => {
    const body = ts.isBlock(node.body) ? go(node.body) : f.createBlock([f.createReturnStatement(go(node.body))])
    const made = f.createFunctionExpression(undefined, star(), undefined, undefined, node.parameters, undefined, body)
    return f.createCallExpression(f.createPropertyAccessExpression(f.createParenthesizedExpression(made), 'bind'), undefined, [f.createThis()])
  }

  const visit = (node: ts.Node): ts.Node => {
    if (ts.isPrivateIdentifier(node)) return f.createIdentifier(`$${node.text.slice(1)}`)
    if (ts.isBinaryExpression(node) && isSharedElement(node.left) && isAssignment(node.operatorToken.kind)) {
      if (node.operatorToken.kind !== ts.SyntaxKind.EqualsToken) throw new Error(`no step for ${node.getText()}`)
      return yieldStep(SHARED_ARRAYS[lastName(node.left.expression)]!, 'store', go(node.left.expression), go(node.left.argumentExpression), go(node.right))
    }
    if (isSharedElement(node)) return yieldStep(SHARED_ARRAYS[lastName(node.expression)]!, 'load', go(node.expression), go(node.argumentExpression))
    if (ts.isCallExpression(node)) return visitCall(node)
    if (ts.isArrowFunction(node) && containsStep(node.body, stepping)) return visitArrow(node)
    const visited = ts.visitEachChild(node, visit, context)
    if ((ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node)) && stepping.has(nameOf(node))) return withStar(f, visited as Named, star())
    return visited
  }
  return visit
}

function withStar(f: ts.NodeFactory, node: Named, star: ts.AsteriskToken): Named {
  return ts.isFunctionDeclaration(node)
    ? f.updateFunctionDeclaration(node, node.modifiers, star, node.name, undefined, node.parameters, undefined, node.body)
    : f.updateMethodDeclaration(node, node.modifiers, star, node.name, undefined, undefined, node.parameters, undefined, node.body)
}

function isAssignment(kind: ts.SyntaxKind): boolean {
  return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment
}
