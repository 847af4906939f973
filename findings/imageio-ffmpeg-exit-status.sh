#!/usr/bin/env bash
# imageio-ffmpeg 0.6.0 and ffmpeg 7.0.2, which comes with it: a film that could not be written ends
# without an error.
#
# `write_frames` starts ffmpeg, sends it the frames, and waits for its end when the generator is
# closed, but never looks at its exit status. When the file cannot be written to its end, ffmpeg ends
# with status 228 on a full disk, or is killed by SIGXFSZ at a limit on the size of files, as here;
# `close()` returns all the same, and the file that is left cannot be played. Only a frame that cannot be sent any more raises an error, and a
# short film is sent whole before ffmpeg writes its first byte. Whoever uses `write_frames` has to
# look at the file, or to start ffmpeg by `subprocess.run(..., check=True)`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q imageio-ffmpeg==0.6.0
cat >"$folder/film.py" <<'PYTHON'
import os
import resource
import subprocess
import sys

import imageio_ffmpeg

size, count = (128, 96), 20
frames = [os.urandom(size[0] * size[1] * 3) for _ in range(count)]
# The largest file that this process and its children may write: an error, as on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
started = []


class Watched(subprocess.Popen):
    """A process that can be asked for its exit status when `write_frames` is done with it."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        started.append(self)


imageio_ffmpeg._io.subprocess.Popen = Watched
writer = imageio_ffmpeg.write_frames(sys.argv[1], size)
writer.send(None)
for frame in frames:
    writer.send(frame)
writer.close()
status = started[-1].returncode
print(f"write_frames and close() raised nothing; ffmpeg's exit status: {status}")
print(f"bytes written: {os.path.getsize(sys.argv[1])}")
try:
    found = imageio_ffmpeg.count_frames_and_secs(sys.argv[1])
except Exception as error:
    print(f"the film cannot be read: {type(error).__name__}")
    readable = False
else:
    print(f"frames and seconds found in the film: {found}")
    readable = found[0] == count
sys.exit(0 if status != 0 and not readable else 1)
PYTHON
"$folder/venv/bin/python" "$folder/film.py" "$folder/film.mp4"
