/**
 * The one seam to the file system. Everything above asks for these few operations, and a
 * simulated disk can stand in for the real one.
 *
 * All calls block the calling thread, except those that are `…Async`. Failures are thrown as they come from the
 * operating system (`code`, `syscall`, `errno`); none is retried, and none is swallowed.
 */

import { constants } from 'node:os'

/** Whether a write was refused for want of room. (A sync that says so has failed like any other: what it should have made durable is lost.) */
export function isDiskFull(error: unknown): boolean {
  const { code, errno, syscall = '' } = error as NodeJS.ErrnoException
  // Node has no name for a quota that is used up.
  return (code === 'ENOSPC' || code === 'EDQUOT' || errno === -constants.errno.EDQUOT) && !syscall.includes('sync')
}

/** One open regular file. Offsets and lengths are in bytes. */
export interface DiskFile {
  readonly path: string
  /**
   * Writes all of `buffers`, one after the other, from `offset` on; loops on short writes.
   * Not durable before {@link sync}. After a throw, an unknown prefix may have been written.
   */
  write(buffers: readonly Uint8Array[], offset: number): void
  /** Fills `buffer` from `offset` on; returns the bytes read, fewer only at the end of the file. */
  read(buffer: Uint8Array, offset: number): number
  /** {@link read} without blocking the thread. */
  readAsync(buffer: Uint8Array, offset: number): Promise<number>
  /** {@link write} of one buffer, without blocking the thread. */
  writeAsync(buffer: NodeJS.ArrayBufferView, offset: number): Promise<void>
  /** {@link sync} without blocking the thread. */
  syncAsync(): Promise<void>
  /** fdatasync: content and size are durable when it returns. After a throw nothing is known of them. */
  sync(): void
  /** Cuts the file to `bytes`, or extends it with a hole. Durable after {@link sync}. */
  truncate(bytes: number): void
  /** Current size. */
  size(): number
  /** Takes the write permission away (mode 0400). */
  protect(): void
  close(): void
}

/** Reading and changing one directory tree. Paths are absolute; links in the last component are never followed. */
export interface Disk {
  /**
   * Creates the directory and its parents (mode 0700) and syncs every parent that got a new entry. Existing ones are fine; of the deepest one the parent is
   * synced too, where it can be.
   */
  makeDirectory(path: string): void
  /** Names in the directory, in no order. */
  list(path: string): string[]
  /** Creates a file (mode 0600) for reading and writing; fails with EEXIST. Its name is durable after {@link syncDirectory}. */
  create(path: string): DiskFile
  /** Opens a regular file; fails with ELOOP on a symbolic link and with EINVAL on anything that is not a regular file. */
  open(path: string, access: 'read' | 'write'): DiskFile
  /** Renames within one file system, replacing nothing that matters. Durable after {@link syncDirectory} of both directories. */
  rename(from: string, to: string): void
  /** Gives the write permission back that {@link DiskFile.protect} took (mode 0600). */
  unprotect(path: string): void
  /** Bytes that the file system of `path` has left for this process, and in all. */
  space(path: string): { readonly freeBytes: number; readonly totalBytes: number }
  /** Unlinks a file. Durable after {@link syncDirectory}. */
  remove(path: string): void
  /** Makes creations, renames and removals in the directory durable. */
  syncDirectory(path: string): void
}
