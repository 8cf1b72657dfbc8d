#!/usr/bin/env node
// The `millrace` command: a fixed file, so that the link to it exists before the first build.
import '../dist/cli/main.js'
