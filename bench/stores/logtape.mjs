/** LogTape's file sink, as it comes (a buffer of 8 KiB), with a formatter that writes the line as it is. Nothing is ever synced. */

import { getFileSink } from '@logtape/file'
import { configure, dispose, getLogger } from '@logtape/logtape'
import { untilWritten } from './written-file.mjs'

export async function open(directory) {
  const file = `${directory}/log`
  await configure({
    sinks: { file: getFileSink(file, { formatter: ({ properties }) => `${properties.line}\n` }) },
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
    /** What stands in its buffer is written when it is disposed of, or when its interval has passed. */
    durable: () => untilWritten(file, bytes),
    close: () => dispose(),
  }
}
