// A process that is killed: opens a log, appends what it is told, each array as a group, and writes the last sequence of each as soon as it is durable.
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const { build, program, options } = JSON.parse(process.argv[2])
const { openLog } = await import(pathToFileURL(join(build, 'src/index.js')).href)
const log = await openLog(options)
writeSync(1, `${log.lastSequence}\n`)
const reports = []
for (const [index, group] of program.entries()) {
  const last = group.length === 1 ? log.append(group[0]) : log.appendGroup(group) + group.length - 1
  reports.push(log.durable(last).then(() => writeSync(1, `${last}\n`)))
  if (index % 4 === 3) await reports.at(-1)
}
await Promise.all(reports)
// Whoever waits for more reports than there are is told by silence; the kill comes with the last one.
setInterval(() => undefined, 1000)
