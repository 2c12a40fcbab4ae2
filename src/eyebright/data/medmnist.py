"""The facts of MedMNIST's plane sets with one label a picture, 28 x 28 pixels.

Counts, md5 sums of the files, class names and licences are those of the package medmnist 3.0.2 (medmnist/info.py); the sets are
described by Yang et al. 2023 (Scientific Data 10, 41). Left out are ChestMNIST, which has several labels a picture, and the
volumes.
"""

import dataclasses

RECORD = "https://zenodo.org/records/10519652/files/"
SIDE = 28


@dataclasses.dataclass(frozen=True)
class MedSet:
    """One set: what it shows, its ``channels`` (1 grey, 3 colour), how many pictures it has, and its classes by number."""

    about: str
    channels: int
    count: int
    md5: str
    classes: tuple[str, ...]
    licence: str = "CC BY 4.0"


_ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)

SETS = {
    "bloodmnist": MedSet(
        "blood cells",
        3,
        17_092,
        "7053d0359d879ad8a5505303e11de1dc",
        (
            "basophil",
            "eosinophil",
            "erythroblast",
            "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
            "lymphocyte",
            "monocyte",
            "neutrophil",
            "platelet",
        ),
    ),
    "breastmnist": MedSet(
        "breast ultrasound",
        1,
        780,
        "750601b1f35ba3300ea97c75c52ff8f6",
        (
            "malignant",
            "normal, benign",
        ),
    ),
    "dermamnist": MedSet(
        "skin lesions",
        3,
        10_015,
        "0744692d530f8e62ec473284d019b0c7",
        (
            "actinic keratoses and intraepithelial carcinoma",
            "basal cell carcinoma",
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ),
        licence="CC BY-NC 4.0",
    ),
    "octmnist": MedSet(
        "retinas by optical coherence tomography",
        1,
        109_309,
        "c68d92d5b585d8d81f7112f81e2d0842",
        (
            "choroidal neovascularization",
            "diabetic macular edema",
            "drusen",
            "normal",
        ),
    ),
    "organamnist": MedSet("abdominal organs in CT, axial", 1, 58_830, "68e3f8846a6bd62f0c9bf841c0d9eacc", _ORGANS),
    "organcmnist": MedSet("abdominal organs in CT, coronal", 1, 23_583, "b9ceb9546e10131b32923c5bbeaea2b1", _ORGANS),
    "organsmnist": MedSet("abdominal organs in CT, sagittal", 1, 25_211, "9ab87b696fb54e2a387ebe992d6ed5f1", _ORGANS),
    "pathmnist": MedSet(
        "tissue of the large bowel",
        3,
        107_180,
        "a8b06965200029087d5bd730944a56c1",
        (
            "adipose",
            "background",
            "debris",
            "lymphocytes",
            "mucus",
            "smooth muscle",
            "normal colon mucosa",
            "cancer-associated stroma",
            "colorectal adenocarcinoma epithelium",
        ),
    ),
    "pneumoniamnist": MedSet(
        "children's chest X-rays",
        1,
        5_856,
        "28209eda62fecd6e6a2d98b1501bb15f",
        (
            "normal",
            "pneumonia",
        ),
    ),
    "retinamnist": MedSet(
        "fundus photographs, five grades of retinopathy",
        3,
        1_600,
        "bd4c0672f1bba3e3a89f0e4e876791e4",
        (
            "0",
            "1",
            "2",
            "3",
            "4",
        ),
    ),
    "tissuemnist": MedSet(
        "kidney cortex cells",
        1,
        236_386,
        "ebe78ee8b05294063de985d821c1c34b",
        (
            "Collecting Duct, Connecting Tubule",
            "Distal Convoluted Tubule",
            "Glomerular endothelial cells",
            "Interstitial endothelial cells",
            "Leukocytes",
            "Podocytes",
            "Proximal Tubule Segments",
            "Thick Ascending Limb",
        ),
    ),
}
