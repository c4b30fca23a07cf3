/** The command line: what there is, and how each way to end becomes an exit status. */

import { createRequire } from 'node:module'
import { Command, CommanderError, Option } from 'commander'
import { append, type AppendOptions } from './append.js'
import { parseCount, parseSize, parseSpan, parseTime } from './argument-values.js'
import { bench, type BenchOptions } from './bench.js'
import { CommandError, describeError, STATUS } from './command-error.js'
import { checkpoint, commit, consumers, seek, type CheckpointOptions } from './consumers.js'
import { listDead, replayDead } from './dead.js'
import { cat, tail, type EntryOptions, type TailOptions } from './entries.js'
import { inspect } from './inspect.js'
import { Output } from './output.js'
import { repair } from './repair.js'
import { verify } from './verify.js'

const DIRECTORY = 'the directory of a log'
const EXIT_STATUS = `
Exit status: 0 done, also when a pipe was closed by its reader; 2 wrong usage; 3 failed.
verify, repair: 0 sound; 1 torn: opening would repair an unfinished write; 2 corrupt; 3 it could not tell, wrong usage included.
append: 130 after SIGINT, 143 after SIGTERM; what was read until then is durable, and counted. bench: the same, without figures.`

/** Runs one command line. Never rejects: sets the process's exit status. */
export async function run(argv: readonly string[]): Promise<void> {
  const output = new Output(process.stdout)
  const errors = new Output(process.stderr)
  const warn = (message: string): void => void errors.line(`ringwal: ${message}`)
  const finish = (status: number): void => {
    process.exitCode = status
  }
  try {
    await createProgram({ output, warn, finish }).parseAsync([...argv])
  } catch (error) {
    if (error instanceof CommanderError) return finish(error.exitCode)
    warn(describeError(error))
    finish(error instanceof CommandError ? error.status : STATUS.failed)
  }
}

interface Context {
  readonly output: Output
  readonly warn: (message: string) => void
  readonly finish: (status: number) => void
}

function createProgram(context: Context): Command {
  const { version } = createRequire(import.meta.url)('ringwal/package.json') as { version: string }
  const program = new Command('ringwal')
  program.description('A write-ahead log: append to one, read it, follow it, look into it, check it.').version(version)
  program.addHelpText('after', EXIT_STATUS)
  program.configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'ringwal: ')) })
  exitWith(program, STATUS.usage)
  addAppend(program, context)
  addReading(program, context)
  addChecking(program, context)
  addQueue(program, context)
  addBench(program, context)
  return program
}

/** Wrong usage ends with `status`; help and version with 0. */
function exitWith(command: Command, status: number): void {
  command.exitOverride((error) => {
    throw new CommanderError(error.exitCode === 0 ? STATUS.done : status, error.code, error.message)
  })
}

function addAppend(program: Command, { output, warn, finish }: Context): void {
  program.command('append').summary('append the lines of standard input')
    .description('Appends each line of standard input as one entry (without its newline), and tells at the end how many are durable.')
    .argument('<dir>', `${DIRECTORY}; made if it is not there`)
    .addOption(new Option('--max-entry-bytes <size>', 'the longest line').argParser(parseSize).default(64 * 1024 * 1024, '64M'))
    .option('--max-segment-bytes <size>', 'begin a new segment file at this size', parseSize)
    .option('--lock-wait <span>', 'wait so long for another writer to go', parseSpan)
    .option('--max-age <span>', 'keep entries so long, at least; without consumers only (default: 7d)', parseSpan)
    .option('--max-bytes <size>', 'keep no more than this (default: half of what the disk has for it)', parseSize)
    .option('--json', 'the result as JSON')
    .action(async (directory: string, options: AppendOptions) => finish(await append(directory, options, { input: process.stdin, output, warn })))
}

function addReading(program: Command, { output, warn, finish }: Context): void {
  const reading = (name: string): Command => program.command(name).argument('<dir>', DIRECTORY)
    .option('--from <sequence>', 'begin with this sequence', parseCount(1))
    .option('--since <time>', 'begin at this time: an ISO date, milliseconds since 1970, or a span such as 10m, 2h, 1d before now', (text) => parseTime(text))
    .option('--limit <n>', 'at most so many entries', parseCount(0))
    .option('--written', 'also what is written but not known to be durable')
    .option('--json', 'one JSON object a line: sequence, timestamp (ms since 1970), text, or base64 where it is not UTF-8')
  reading('cat').summary('write entries to standard output').description('Writes entries to standard output, each with a newline behind it.')
    .action(async (directory: string, options: EntryOptions) => finish(await cat(directory, options, output, warn)))
  reading('tail').summary('write the last entries, and those to come').description('Writes the last entries to standard output, and goes on with those that come, until it is ended.')
    .addOption(new Option('--last <n>', 'begin with so many of the last entries, without --from and --since').argParser(parseCount(0)).default(10))
    .action(async (directory: string, options: TailOptions) => finish(await tail(directory, options, output)))
}

function addChecking(program: Command, { output, warn, finish }: Context): void {
  program.command('inspect').summary('list segments, cursors and totals').description('Lists segments with their sequences, entries, sizes and times, consumers with their cursors, and totals.')
    .argument('<dir>', DIRECTORY).option('--json', 'as one JSON object')
    .action(async (directory: string, options: { json?: boolean }) => finish(await inspect(directory, options, output, warn)))
  const checking = program.command('verify').summary('check every byte').description('Checks every byte of every segment. Changes nothing, and may run beside a writer.')
    .argument('<dir>', DIRECTORY).option('--json', 'as one JSON object')
    .addHelpText('after', EXIT_STATUS)
    .action(async (directory: string, options: { json?: boolean }) => finish(await verify(directory, options, output, process.stderr, warn)))
  // 1 and 2 are the answer, and must not mean anything else.
  exitWith(checking, STATUS.failed)
  const repairing = program.command('repair').summary('mend what is damaged, keeping a copy')
    .description('Cuts unfinished writes, rebuilds damaged segments from what is sound in them, and accounts for what is lost. Copies of damaged files are kept in salvage/ below the log\'s directory.')
    .argument('<dir>', `${DIRECTORY}, which no writer may have open`).option('--dry-run', 'only tell what there is').option('--json', 'as one JSON object')
    .addHelpText('after', EXIT_STATUS)
    .action(async (directory: string, options: { json?: boolean; dryRun?: boolean }) => finish(await repair(directory, options, output)))
  exitWith(repairing, STATUS.failed)
}

function addQueue(program: Command, { output, warn, finish }: Context): void {
  program.command('consumers').summary('list consumers and how far behind they are').description('Lists consumers: what each has committed, how many entries and about how many bytes behind it is, and since when the oldest of them waits.')
    .argument('<dir>', DIRECTORY).option('--json', 'as one JSON object')
    .action(async (directory: string, options: { json?: boolean }) => finish(await consumers(directory, options, output, warn)))
  const moving = (name: string): Command => program.command(name).argument('<dir>', `${DIRECTORY}, which no writer may have open`).argument('<consumer>', 'its name')
  moving('commit').summary('commit for a consumer').description('Commits for a consumer: all entries up to a sequence will not be delivered any more.')
    .argument('<sequence>', 'the last entry that is done', parseCount(0))
    .action(async (directory: string, name: string, sequence: number) => finish(await commit(directory, name, sequence, output)))
  moving('seek').summary('set a consumer anywhere').description('Sets a consumer so that the entry with a sequence comes next, forwards or backwards.')
    .argument('<sequence>', 'the entry that comes next', parseCount(1))
    .action(async (directory: string, name: string, sequence: number) => finish(await seek(directory, name, sequence, output)))
  const dead = program.command('dead').summary('list or replay what failed for good').description('Dead letters: entries that a consumer failed to handle for good.')
  dead.command('list').description('Lists the dead letters that have not been replayed.').argument('<dir>', DIRECTORY).option('--json', 'one JSON object a line')
    .action(async (directory: string, options: { json?: boolean }) => finish(await listDead(directory, options, output)))
  dead.command('replay').description('Appends dead letters to the log again, as new entries for all its consumers, and removes them.')
    .argument('<dir>', `${DIRECTORY}, which no writer may have open`).argument('[name]', 'only those of one dead-letter log')
    .action(async (directory: string, name: string | undefined) => finish(await replayDead(directory, name, output, warn)))
  program.command('checkpoint').summary('free segments that nobody needs').description('Frees the segments that every consumer has committed, and with options what is beyond them, the oldest first.')
    .argument('<dir>', `${DIRECTORY}, which no writer may have open`)
    .option('--max-age <span>', 'without consumers: also what is older', parseSpan)
    .option('--max-bytes <size>', 'without consumers: also what is more', parseSize)
    .option('--max-segments <n>', 'without consumers: also what is more', parseCount(1))
    .action(async (directory: string, options: CheckpointOptions) => finish(await checkpoint(directory, options, output)))
}

function addBench(program: Command, { output, warn, finish }: Context): void {
  program.command('bench').summary('measure a disk')
    .description('Measures what a log would do on this disk: append cost, time from append to durable, throughput, and the disk by itself. Works in a directory of its own, which it removes.')
    .argument('<dir>', 'a directory on that disk; a log in it is not touched')
    .option('--time <span>', 'for all measurements together (default: 14s)', parseSpan)
    .option('--json', 'as one JSON object; latencies in microseconds')
    .action(async (directory: string, options: BenchOptions) => finish(await bench(directory, options, output, warn)))
}
