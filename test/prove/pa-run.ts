import { runPart } from '/work/wt-prove-a/test/prove/crash-part.ts'
const t=performance.now()
const r = await runPart({build: '/work/wt-prove-a/dist', seed: 5, part: 0, parts: 1, states: Number(process.argv[2]), mostFaults: 3})
console.log(((performance.now()-t)/1000).toFixed(1), (process.cpuUsage().user/1e6).toFixed(1), JSON.stringify(r.tally), JSON.stringify(r.uploads)); for (const f of r.faults) console.log(f.caseName, f.what.slice(0,1500))
