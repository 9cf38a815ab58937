#!/bin/sh
# Makes .env for a cluster: .env.example with 32 random bytes for each MAKE_ONE.
set -eu
cd "$(dirname "$0")/.."
if [ -e .env ]; then
    echo "There is a .env already; its secrets are those of your database. Nothing was changed." >&2
    exit 1
fi
umask 077
while IFS= read -r line; do
    case $line in
    *=MAKE_ONE) printf '%s=%s\n' "${line%%=*}" "$(od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n')" ;;
    *) printf '%s\n' "$line" ;;
    esac
done < .env.example > .env
echo "Made .env; keep it to yourself." >&2
