/** LogTape's file sink, as it comes (a buffer of 8 KiB), with a formatter that writes the line as it is. It syncs the file at each flush of its buffer. */

import { getFileSink } from '@logtape/file'
import { configure, dispose, getLogger } from '@logtape/logtape'
import { untilWritten } from './written-file.mjs'

/** Its default. What is in it is written some seconds later, or when the sink is disposed of: that is not waited for. */
const BUFFER_BYTES = 8192

export async function open(directory) {
  const file = `${directory}/log`
  await configure({
    sinks: { file: getFileSink(file, { bufferSize: BUFFER_BYTES, formatter: ({ properties }) => `${properties.line}\n` }) },
    loggers: [
      { category: 'bench', lowestLevel: 'info', sinks: ['file'] },
      { category: ['logtape', 'meta'], lowestLevel: 'error', sinks: ['file'] },
    ],
  })
  const logger = getLogger('bench')
  let bytes = 0
  return {
    /** Lines are ASCII. */
    add(line) {
      bytes += line.length + 1
      logger.info('{line}', { line })
      return undefined
    },
    durable: () => untilWritten(file, bytes - BUFFER_BYTES),
    close: () => dispose(),
  }
}
