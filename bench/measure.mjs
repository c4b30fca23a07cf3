/**
 * One measurement in a process of its own, so that none disturbs the next: `measure.mjs MODULE FUNCTION SETTINGS` calls an exported function
 * with the settings, and prints what it returns as the last line.
 */

const [, , module, call, settings] = process.argv
const { [call]: measure } = await import(module)
const result = await measure(JSON.parse(settings))
process.stdout.write(`\n${JSON.stringify(result ?? null)}\n`)
