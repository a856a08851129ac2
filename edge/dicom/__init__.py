"""Frames and an exam into DICOM objects: no disk, no network. The one door to pydicom beside the replay of clips,
the export and the sinks.

take          Station, Take, Options; what the frames have in common, or where they do not fit together
pair          make_pair: the original and the enhanced, pointing at each other
kinds         which kind of object has which modules; common, cine, ultrasound, fluoroscopy, secondary: the modules
provenance    what an enhanced object says about itself; private: the private block; measure: how much was changed
frametimes    the beat of a clip, its jitter and its gaps
part10        Made: a file written front to back; encoding: JPEG-LS, RLE; stored: reading one back
deidentify    copies for teaching; profile: PS3.15's table
corrections   copies for an identity that was corrected
conformance   the conformance statement, from these very tables; services: what goes over the network
"""

from edge.dicom.frametimes import Gap, times_of
from edge.dicom.pair import make_pair
from edge.dicom.part10 import Made
from edge.dicom.take import Options, Station, Take

__all__ = ["Gap", "Made", "Options", "Station", "Take", "make_pair", "times_of"]
