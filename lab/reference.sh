#!/usr/bin/env bash
# Makes the reference record: tiny on the shared text, held out on every source and wikitext-2.
# Usage: lab/reference.sh TEXT_FOLDER WORK_FOLDER [TOKENS]   (an hour on one core with 14M)
set -euo pipefail
text=$1 work=$2 tokens=${3:-14M}
modernbert train-tokenizer "$text" --vocab-size 16384 --sample-mb 40 --out "$work/tokenizer"
modernbert prepare "$text"/*.jsonl.gz wikitext-2="$text/wikitext-2/valid.txt" \
  wikitext-2="$text/wikitext-2/test.txt" --heldout-sources wikitext-2 \
  --tokenizer "$work/tokenizer" --out "$work/corpus"
modernbert pretrain tiny --corpus "$work/corpus" --out "$work/run" --total "$tokens" --threads 1
