#!/bin/sh
# For ssh-add: gives it what tund has written to its stdin, and says on its stderr that it has asked. It has no answer twice.
echo 'tund-askpass: asked' >&2
exec cat
