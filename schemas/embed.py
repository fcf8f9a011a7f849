#!/usr/bin/env python3
"""Turns schema and SQL files into one C++ source, so that the agent needs no data files at run time.

usage: embed.py OUTPUT.cc ROOT FILE...   (names are the paths relative to ROOT)
"""
import os
import sys

out, root, files = sys.argv[1], sys.argv[2], sys.argv[3:]
with open(out, "w", encoding="utf-8") as f:
    f.write('#include "schemas/embedded.h"\n\nnamespace ca {\n\nstd::span<const EmbeddedFile> embedded_files() {\n')
    f.write("  static const EmbeddedFile kFiles[] = {\n")
    for path in sorted(files):
        with open(path, encoding="utf-8") as source:
            text = source.read()
        f.write('      {"%s",\n       R"~~~~(%s)~~~~"},\n' % (os.path.relpath(path, root), text))
    f.write("  };\n  return kFiles;\n}\n\n}  // namespace ca\n")
