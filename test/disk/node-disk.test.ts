import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { systemError } from '../model/memory-disk.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

/** What is asked of the system from now on to sync directories; a call for which `refuse` has an error code fails with it. */
function watchSyncs(refuse: (syscall: 'open' | 'fsync', path: string) => string | undefined = () => undefined): string[] {
  const { openSync, fsyncSync } = fs
  const opened = new Map<number, string>()
  const synced: string[] = []
  const check = (syscall: 'open' | 'fsync', path: string): void => {
    const code = refuse(syscall, path)
    if (code !== undefined) throw systemError(code, syscall, path)
  }
  fs.openSync = (path, ...rest) => {
    check('open', String(path))
    const fd = openSync(path, ...rest)
    opened.set(fd, String(path))
    return fd
  }
  fs.fsyncSync = (fd) => {
    check('fsync', opened.get(fd)!)
    fsyncSync(fd)
    synced.push(opened.get(fd)!)
  }
  syncBuiltinESMExports()
  onTestFinished(() => {
    Object.assign(fs, { openSync, fsyncSync })
    syncBuiltinESMExports()
  })
  return synced
}

describe.skipIf(process.platform === 'win32')('making a directory', () => {
  let root: string

  beforeEach(() => {
    root = temporaryDirectory()
  })

  test('syncs every parent of what it makes, and that of what it found: who made that may have been killed before', () => {
    const synced = watchSyncs()
    nodeDisk.makeDirectory(join(root, 'a', 'b'))
    expect(synced.splice(0)).toEqual([dirname(root), root, join(root, 'a')])
    nodeDisk.makeDirectory(join(root, 'a', 'b'))
    expect(synced).toEqual([join(root, 'a')])
  })

  test.each<['open' | 'fsync', string]>([['open', 'EACCES'], ['open', 'EPERM'], ['fsync', 'EINVAL']])('goes on where %s of the parent of what it found says %s', (syscall, code) => {
    const synced = watchSyncs((called, path) => (called === syscall && path === dirname(root) ? code : undefined))
    nodeDisk.makeDirectory(join(root, 'a'))
    expect(synced).toEqual([root])
  })

  test.each<[string, () => string]>([['of what it found', () => dirname(root)], ['of what it makes', () => root]])('tells of a failed sync of the parent %s', (_what, failing) => {
    watchSyncs((called, path) => (called === 'fsync' && path === failing() ? 'EIO' : undefined))
    expect(() => nodeDisk.makeDirectory(join(root, 'a'))).toThrow(expect.objectContaining({ code: 'EIO', path: failing() }))
  })
})
