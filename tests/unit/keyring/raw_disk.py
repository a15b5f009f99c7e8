#!/usr/bin/env python3
"""What a raw ext4 image still holds of destroyed epoch keys: nothing.

Makes a keyring on a loop-mounted image, destroys 30 message leaves one by one, notes every epoch slot on
the way, then searches the raw image for each of them: only the last may be there. Old cover files
do stay on the disk (a control that the search can find things): without their epoch key they are
noise. Second control: a slot replaced by rename instead of overwritten must be found.

Usage: raw_disk.py TOOL. Skipped (77) without the right to mount.
"""
import os
import shutil
import subprocess
import sys
import tempfile

SLOT, NONCE_AT, SLOT_END = 4096, 32, 104
ROUNDS = 30


def run(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError: # who may not mount often has no mkfs on PATH either
        return subprocess.CompletedProcess(command, 127, '', command[0] + ' is not here')


def living_slot(epoch):
    """Nonce and sealed epoch key of the one slot that is not empty."""
    data = open(epoch, 'rb').read()
    slots = [data[i:i + SLOT] for i in (0, SLOT)]
    living = [s for s in slots if any(s)]
    assert len(data) == 2 * SLOT and len(living) == 1, 'one slot must live, one be zero'
    return living[0][NONCE_AT:SLOT_END]


def full_disk(tool, top):
    """Punctures on a disk without a free block: the reserve becomes the cover."""
    image, mount = os.path.join(top, 'small'), os.path.join(top, 'small-mount')
    ring, root = os.path.join(mount, 'ring'), os.path.join(top, 'small-root')
    os.mkdir(mount)
    with open(image, 'wb') as f:
        f.truncate(8 << 20)
    if run('mkfs.ext4', '-q', image).returncode or run('mount', '-o', 'loop', image, mount).returncode:
        return ['cannot mount the small image']
    errors = []
    try:
        if run(tool, ring, root).returncode:
            return ['tool failed on the small image']
        filler = os.open(os.path.join(mount, 'filler'), os.O_WRONLY | os.O_CREAT)
        for size in (65536, 1024, 1):
            try:
                while True:
                    os.write(filler, b'x' * size)
                    os.fsync(filler)
            except OSError:
                pass
        os.close(filler)
        before = living_slot(os.path.join(ring, 'epoch'))
        done = run(tool, ring, root, '5', '6', '7')
        if done.returncode:
            errors.append('a full disk kept keys alive')
        if 'reserve_used' not in done.stderr:
            errors.append('control: the disk was not full')
        if living_slot(os.path.join(ring, 'epoch')) == before:
            errors.append('full disk: the slot did not change')
        os.unlink(os.path.join(mount, 'filler'))
        if run(tool, ring, root, '8').returncode or not os.path.exists(os.path.join(ring, 'reserve')):
            errors.append('the reserve did not come back')
    finally:
        run('umount', mount)
    return errors


def journalled_data(tool, top):
    """A file system that journals data is refused; the same one mounted otherwise is not."""
    image, mount = os.path.join(top, 'journal'), os.path.join(top, 'journal-mount')
    os.mkdir(mount)
    with open(image, 'wb') as f:
        f.truncate(16 << 20)
    errors = []
    if run('mkfs.ext4', '-q', image).returncode:
        return ['cannot make the journal image']
    for mode, accepted in (('journal', False), ('ordered', True)):
        if run('mount', '-o', f'loop,data={mode}', image, mount).returncode:
            return [f'cannot mount with data={mode}']
        done = run(tool, os.path.join(mount, 'ring'), os.path.join(top, 'journal-root'))
        run('umount', mount)
        if (done.returncode == 0) != accepted:
            errors.append(f'data={mode}: {done.stderr or "accepted"}')
    return errors


def main(tool):
    top = tempfile.mkdtemp(prefix='sluis-raw-')
    image, mount = os.path.join(top, 'image'), os.path.join(top, 'mount')
    ring, root = os.path.join(mount, 'ring'), os.path.join(top, 'root')
    mounted = False
    try:
        os.mkdir(mount)
        with open(image, 'wb') as f:
            f.truncate(32 << 20)
        if run('mkfs.ext4', '-q', image).returncode or run('mount', '-o', 'loop', image, mount).returncode:
            print('skipped: cannot make or mount an ext4 image here')
            return 77
        mounted = True
        seen = []
        for number in range(ROUNDS + 1):
            command = [tool, ring, root] + ([str(number * 37)] if number else [])
            done = run(*command)
            if done.returncode:
                print(f'tool failed: {done.stderr}')
                return 1
            seen.append(living_slot(os.path.join(ring, 'epoch')))
        # control: the same secret moved as an editor would, by a new file and a rename
        renamed = os.path.join(mount, 'renamed')
        secret = os.urandom(64)
        for content in (secret, os.urandom(64)):
            with open(renamed + '.tmp', 'wb') as f:
                f.write(content)
                f.flush()
                os.fsync(f.fileno())
            os.rename(renamed + '.tmp', renamed)
        os.sync()
        run('umount', mount)
        mounted = False
        errors = full_disk(tool, top) + journalled_data(tool, top)
        raw = open(image, 'rb').read()
        left = [n for n, slot in enumerate(seen[:-1]) if slot in raw or slot[24:] in raw]
        covers = raw.count(b'SLUISKR1')
        if left:
            errors.append(f'epoch keys of generations {[n + 1 for n in left]} are still on the disk')
        if len(set(seen)) != ROUNDS + 1:
            errors.append('an epoch slot did not change')
        if seen[-1] not in raw:
            errors.append('control: the living slot was not found')
        if covers < 2:
            errors.append('control: no old cover was found')
        if secret not in raw:
            errors.append('control: a file replaced by rename was not found')
        print('\n'.join(errors) or
              f'{ROUNDS} destroyed epoch keys: 0 found; {covers} covers found; rename control found; '
              f'punctures on a full disk')
        return 1 if errors else 0
    finally:
        if mounted:
            run('umount', mount)
        shutil.rmtree(top, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
