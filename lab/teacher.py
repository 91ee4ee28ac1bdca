"""Score a model of sentence-transformers on a judged set: python lab/teacher.py MODEL FOLDER.

For teachers that are no ModernBERT: `modernbert evaluate retrieval` scores the student.
"""

import sys
from pathlib import Path

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from modernbert.data.judged import read_judged

judged = read_judged(Path(sys.argv[2]), "test")
measure = InformationRetrievalEvaluator(
    judged.queries, judged.documents, judged.answers(), ndcg_at_k=[10], write_csv=False
)
found = measure(SentenceTransformer(sys.argv[1], device="cpu"))
print(found["cosine_ndcg@10"])
