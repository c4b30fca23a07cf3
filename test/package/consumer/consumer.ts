/** A user's program: compiled against the installed package, never run. */

import {
  attachProducer, LogMessage, openLog, readLog, readLogBatches, WalError,
  type Log, type LogEntry, type LogHandle, type LogOptions, type Producer, type Receipt, type RecoveryReport, type WalErrorCode,
} from 'ringwal'

const options: LogOptions = { directory: 'data', durability: { intervalMs: 5 }, whenFull: 'block', blockTimeoutMs: 100, workerUrl: new URL('file:///w.mjs') }

export async function main(signal: AbortSignal): Promise<void> {
  const log: Log = await openLog(options)
  const sequence: number = log.append('text')
  await log.durable(sequence, { signal })
  const receipt: Receipt = await log.write(new Uint8Array(3))
  const first: number = log.appendGroup(['a', Buffer.from('b')])
  const report: RecoveryReport = log.recovery
  const outcome: 'durable' | 'timeout' | 'failed' = log.flushSync({ timeoutMs: 50 })
  log.append(new LogMessage().json({ receipt, first, report, outcome }))
  for await (const entry of log.read({ fromSequence: 1, limit: 10, signal })) show(entry)
  for await (const entries of readLogBatches('data', { fromTimestamp: Date.now() })) entries.forEach(show)
  for await (const entry of readLog('data')) show(entry)
  const last: LogEntry | undefined = await log.get(5)
  if (last !== undefined) show(last)
  await log.close()
}

export function inWorker(handle: LogHandle): number {
  const producer: Producer = attachProducer(handle)
  return producer.append('text')
}

export function codeOf(error: unknown): WalErrorCode | undefined {
  return error instanceof WalError ? error.code : undefined
}

function show(entry: LogEntry): string {
  const { sequence, timestamp, ticks } = entry
  const values: [number, number, bigint, Buffer] = [sequence, timestamp, ticks, entry.data]
  return `${values.join()} ${entry.text()} ${JSON.stringify(entry.json())}`
}
