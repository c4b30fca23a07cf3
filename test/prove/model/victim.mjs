// A process that ends, by a kill or by itself: opens a log, appends what it is told, each array as a group, and writes the last sequence of each as soon as it is durable.
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const { build, program, options, end } = JSON.parse(process.argv[2])
const { openLog } = await import(pathToFileURL(join(build, 'src/index.js')).href)
const log = await openLog(options)
writeSync(1, `${log.lastSequence}\n`)
const append = (group) => group.length === 1 ? log.append(group[0]) : log.appendGroup(group) + group.length - 1
const report = (sequence) => log.durable(sequence).then(() => writeSync(1, `${sequence}\n`))

if (end === 'killed') {
  const reports = []
  for (const [index, group] of program.entries()) {
    reports.push(report(append(group)))
    if (index % 4 === 3) await reports.at(-1)
  }
  await Promise.all(reports)
  // Whoever waits for more reports than there are is told by silence; the kill comes with the last one.
  setInterval(() => undefined, 1000)
} else {
  // The last of it when the log's own listener has run.
  const late = program.length > 1 ? program.pop() : undefined
  process.on('exit', () => {
    if (late !== undefined) append(late)
    writeSync(1, `${log.stats().exitOutcome} ${log.lastSequence}\n`)
  })
  for (const group of program) append(group)
  if (end === 'exits') process.exit(0)
  if (end === 'throws') throw new Error('nobody catches this')
}
