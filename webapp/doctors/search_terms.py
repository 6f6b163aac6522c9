"""Synonyms of common specialties and visit types, for the search. These are data, not sentences: they are compared with
typed words and never shown, so they are not translated. They are English, with a few Dutch and German names. Each
clinic adds its own words (`clinic/search_words.py`).
"""

from __future__ import annotations

from typing import NamedTuple


class Terms(NamedTuple):
    """Synonyms for names with words that begin like this.

    `people` are words for the profession: they are synonyms of a specialty, but not of a visit type that others offer
    too.
    """

    beginnings: tuple[str, ...]
    people: str
    words: str


TERMS = (
    Terms(
        ("general practi", "family medicine", "family doctor", "primary care", "gp", "huisarts", "allgemeinmedizin"),
        "practitioner physician huisarts hausarzt",
        "gp general family primary care cold flu fever cough headache",
    ),
    Terms(("dermatolog", "skin"), "dermatologist", "skin rash mole acne eczema spots psoriasis wart itching hair huid"),
    Terms(("cardiolog", "heart"), "cardiologist", "heart chest blood pressure palpitations ecg pulse hart"),
    Terms(
        ("paediatric", "pediatric", "children", "child"),
        "paediatrician pediatrician paediatrics pediatrics kinderarts",
        "child children kid baby infant toddler growth",
    ),
    Terms(
        ("women", "gynaecolog", "gynecolog", "obstetric"),
        "gynaecologist gynecologist gynaecology gynecology midwife",
        "women pregnancy pregnant period menopause smear contraception",
    ),
    Terms(
        ("physiotherap", "physical therap"),
        "physiotherapist therapist",
        "physio physical therapy back pain neck shoulder knee sports injury exercise muscle",
    ),
    Terms(("orthopaed", "orthoped"), "orthopaedist orthopedist", "bone bones joint fracture hip knee shoulder back"),
    Terms(("ophthalmolog", "eye", "optometr"), "ophthalmologist optometrist", "eye eyes sight vision glasses"),
    Terms(("dent", "orthodont"), "dentist tandarts zahnarzt", "dental tooth teeth toothache gums braces"),
    Terms(
        ("psychiatr", "psycholog", "mental"),
        "psychiatrist psychologist therapist",
        "mental health therapy anxiety depression stress",
    ),
    Terms(("neurolog",), "neurologist", "nerves brain headache migraine dizziness seizure"),
    Terms(("ear nose", "otolaryngolog", "ent ", "otorhino"), "", "ent ear ears nose throat hearing sinus tonsils"),
    Terms(("urolog",), "urologist", "bladder kidney prostate urine"),
    Terms(("gastroenter",), "gastroenterologist", "stomach bowel gut digestion liver"),
    Terms(("pulmon", "respirat", "lung"), "pulmonologist", "lung lungs breathing asthma cough"),
    Terms(("endocrin", "diabet"), "endocrinologist", "diabetes thyroid hormones sugar"),
    Terms(("oncolog",), "oncologist", "cancer tumour tumor"),
    Terms(("rheumat",), "rheumatologist", "joints arthritis"),
    Terms(("allerg",), "allergist", "allergy allergies hay fever"),
    Terms(("vaccin", "immunis", "immuniz"), "", "vaccination vaccine jab shot injection immunisation immunization"),
    Terms(("blood test", "laboratory", "phlebotom"), "", "blood test lab sample"),
    Terms(("health check", "check up"), "", "checkup check physical examination screening"),
    Terms(("follow up", "followup"), "", "followup check results again"),
    Terms(("exercise ecg", "ecg"), "", "ecg ekg heart stress test"),
)
