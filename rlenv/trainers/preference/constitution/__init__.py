"""Constitutional AI (Bai et al. 2022): principles in words take the place of people's labels.

`principles.yaml` is the constitution that comes with rlenv. Stage `revise` lets a model criticise
and revise its own replies by it and fine-tunes on the revisions; `rlenv.trainers.preference.rlaif`
lets a judge choose between replies by it, for the stages `reward`, `dpo` and `kto`.
"""
