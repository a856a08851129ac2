"""The judge: engines and peers on the same held-out pictures, measured in one run.

plan         how much of everything a quick and a full run look at
contestants  who takes part: the unprocessed picture, engines (INT8 and float), peers
clips        films of held-out phantoms as an engine sees them, and what a contestant makes of one
strata       the groups of scenes (probe, depth, dose ...) that figures are also given for
general      likeness to the truth, edges, flicker
contrast     gCNR of inserts, speckle SNR; wires: width of points
lesions      pairs of pictures with and without lesions: the observer's and fidelity's material
observer     detectability by a channelised Hotelling observer
fidelity     are lesions kept at their contrast, is any invented
passing      what a moving wire or needle leaves behind, and what is left of single artefacts
lasting      drift over a long recurrence; strength 0; pixels outside the region
enlarging    super-resolution: likeness against interpolation, overshoot at edges
timing       milliseconds a frame, all in one interleaved run
real         real frames, original beside enhanced
examination  all of the above for the engines of one kind, in two parts that may run side by side
trial        the run itself: parts in processes of their own
figures      what comes out, as the machine reads it
gates        thresholds, and which are met
cards, report, drawing   the same figures for people
"""
