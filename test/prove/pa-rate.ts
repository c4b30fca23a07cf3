import { codeOf } from '../crash/code-under-test.js'
import { newTally, runCase } from '../crash/crash-case.js'
import { STORIES } from '../crash/stories.js'
import { newUploadTally, runUploadCase } from '../crash/upload-case.js'
const code = codeOf('/work/wt-prove-a/dist')
const cpu = () => process.cpuUsage().user / 1e6
for (let w = 0; w < 30; w++) runCase(code, w, newTally())
const byName = new Map<string, [number, number, number]>()
let all = 0, allS = 0
for (const story of STORIES) {
  const t = newTally(), c = cpu()
  runCase(code, 1, t, story)
  const s = cpu() - c
  all += t.distinct; allS += s
  const k = story.name.split(',')[0]!
  const e = byName.get(k) ?? [0, 0, 0]; byName.set(k, [e[0] + t.distinct, e[1] + s, e[2] + t.points])
}
for (const [k, [d, s, p]] of byName) console.log(k, d, p, s.toFixed(1), (d / s).toFixed(0))
console.log('stories', all, allS.toFixed(1), (all / allS).toFixed(0))
{ const t = newTally(), c = cpu(); for (let i = 0; i < 150; i++) runCase(code, 1000 + i, t); const s = cpu() - c; console.log('random', t.distinct, t.points, s.toFixed(1), (t.distinct / s).toFixed(0)) }
{ const t = newUploadTally(), c = cpu(); for (let i = 0; i < 150; i++) await runUploadCase(code, 1000 + i, t); const s = cpu() - c; console.log('upload', t.distinct, t.points, s.toFixed(1), (t.distinct / s).toFixed(0)) }
