#!/bin/sh
# Rerankers on eleven sets, and context length in training and reading (lab/LOG.md, 2026-11-27).
# sh lab/retrieval.sh DATA WORK: DATA as in lab/pairs.py; hours on two cores.
set -e
data=$(realpath "$1"); mkdir -p "$2"; cd "$2"
here=$(dirname "$(realpath "$OLDPWD/$0")")
model=$(python -c "from modernbert.infer.hub import folder_of; print(folder_of('mini'))")
text="$data/retrieval/scifact $data/retrieval/cranfield $data/retrieval/pubmedqa $data/code/cosqa
 $data/code/stackoverflow-codenn/python $data/long/openstax-qa $data/long/qmsum"
code="$data/code/csn-like/go $data/code/csn-like/javascript $data/code/csn-like/rust python-1000"

python "$here/pairs.py" "$data" .
modernbert train-retriever colbert "$model" --pairs mix.jsonl --batch-size 64 --mini-batch 64 \
  --max-length 256 --evaluations 1 --out late
modernbert mine mini --pairs mix.jsonl --number 4 --candidates 60 --skip-top 0 \
  --relative-margin 0.95 --out mined.jsonl
python "$here/pairs.py" "$data" .
modernbert train-retriever rerank late/model --pairs mid.jsonl --negatives negative_1 negative_3 \
  --loss bce --lr 1e-4 --batch-size 32 --mini-batch 32 --max-length 128 --epochs 1 \
  --evaluations 3 --precision bfloat16 --out order
for length in 512 8192; do
  modernbert train-retriever dense "$model" --pairs long600.jsonl --batch-size 16 --mini-batch 2 \
    --max-length $length --epochs 1 --evaluations 1 --precision bfloat16 --out len-$length
done

for each in late order; do
  modernbert convert $each/model half-$each --dtype bfloat16
done
modernbert evaluate retrieval mini --data $text --max-length 256 --reranker half-late --out late-text
modernbert evaluate code mini --data $code --max-length 256 --reranker half-late --out late-code
modernbert evaluate retrieval mini --data $text --max-length 256 --reranker half-order --rerank 10 \
  --out order-text
modernbert evaluate code mini --data $code --max-length 256 --reranker half-order --rerank 10 \
  --out order-code
for length in 512 8192; do
  modernbert convert len-$length/model half-$length --dtype bfloat16
  # The folder cuts where its training did; here it is to read more.
  sed -i 's/"max_seq_length": [0-9]*/"max_seq_length": 8192/' half-$length/sentence_bert_config.json
  modernbert evaluate long half-$length --data "$data/long/openstax-qa" "$data/long/qmsum" \
    --out long-$length
done
