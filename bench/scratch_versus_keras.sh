#!/usr/bin/env bash
# The classic network in eyebright and in Keras, one after the other on the same cores, ROUNDS times (default 1).
#   bench/scratch_versus_keras.sh KERAS_PYTHON KERAS_SCRIPT CIFAR10.npz [ROUNDS]
# KERAS_PYTHON is a Python with tensorflow-cpu in an environment of its own; eyebright finds CIFAR-10 through EYEBRIGHT_DATA.
set -euo pipefail
keras_python=$1 keras_script=$2 npz=$3 rounds=${4:-1}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export TF_CPP_MIN_LOG_LEVEL=3
for round in $(seq "$rounds"); do
  echo "round $round, load $(cut -d' ' -f1 /proc/loadavg)"
  started=$SECONDS
  .venv/bin/eyebright train cifar10 --model cnn --epochs 10 --seed "$round" --out "$place/$round" --json > "$place/$round.json" 2> "$place/$round.log"
  echo "eyebright: whole command $((SECONDS - started)) s"
  .venv/bin/python - "$place/$round" <<'PY'
import json, pathlib, sys
report = json.loads(pathlib.Path(sys.argv[1], "report.json").read_text())
accuracy, training = report["figures"]["accuracy"], report["training"]
print(f"eyebright: {training['attempts'][0]['seconds']:.0f} s of training steps, {training['seconds']:.0f} s up to the last step, "
      f"test accuracy {accuracy['value']:.4f} ({accuracy['low']:.4f} to {accuracy['high']:.4f}, n = {accuracy['n']})")
PY
  started=$SECONDS
  "$keras_python" "$keras_script" "$npz" 10 | tail -n 1 | sed 's/^/Keras: /'
  echo "Keras: whole script $((SECONDS - started)) s"
done
