/** The public list: everything that a user of the package may import. */

export { WalError, type LockOwner, type WalErrorCode, type WalErrorDetails } from './errors.js'
export { attachProducer } from './log/attach.js'
export type { Destination, DestinationOptions } from './log/destination.js'
export type { LogEntry } from './log/entry.js'
export type { Log, LogStats, SegmentInfo } from './log/log.js'
export { LogMessage } from './log/log-message.js'
export { openLog } from './log/open-log.js'
export type { LogOptions, LogRetention } from './log/options.js'
export type {
  FlushOutcome, FlushSyncOptions, LogHandle, Producer, ProducerSettings, Receipt, WaitOptions, WhenFull,
} from './log/producer.js'
export { readLog, readLogBatches } from './log/read-log.js'
export type { ReadLogOptions, ReadOptions } from './log/read-options.js'
export type { EntryData } from './log/staging.js'
export type { RecoveryCut, RecoveryReport } from './recovery/recover.js'
export type { Durability } from './writer/writer-options.js'
export type { VerifyDamage, VerifyRepair } from './recovery/look.js'
export type { SegmentSummary } from './recovery/segment-summary.js'
export { verifyLog, type VerifiedSegment, type VerifyOptions, type VerifyReport, type VerifyStatus } from './recovery/verify.js'
