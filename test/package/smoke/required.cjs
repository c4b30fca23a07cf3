const { openLog } = require('ringwal')

async function main(directory) {
  const log = await openLog({ directory })
  await log.write('from CommonJS')
  for await (const entry of log.read()) console.log(entry.text())
  await log.close()
}

main(process.argv[2])
