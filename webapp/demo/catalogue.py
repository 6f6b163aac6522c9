"""The demo clinic's catalogue: visit types, how to prepare for them, and why people come."""

from __future__ import annotations

from typing import NamedTuple


class DemoVisitType(NamedTuple):
    """A visit type. `share` says how often it is booked, relative to the doctor's other types.

    `suggested_for` says to whom pages suggest it.
    """

    name: str
    minutes: int
    preparation: str
    reasons: tuple[str, ...] = ()
    buffer_before: int = 0
    buffer_after: int = 0
    online: bool = True
    share: int = 1
    suggested_for: str = "none"


class Specialty(NamedTuple):
    """A field of medicine: its visit types, the doctors' steps, and who comes.

    `people` is one of the groups of `webapp.demo.people`: anyone, adults, children or women.
    """

    name: str
    slot_step: int
    kinds: tuple[str, ...]
    people: str = "adults"


KINDS = (
    DemoVisitType(
        "GP consultation",
        30,
        "Bring your medicines, or a list of them, with those you buy without a prescription.\n"
        "Write down when it started and what makes it better or worse.\n"
        "Please come five minutes early.",
        (
            "Tired for some weeks, although I sleep enough.",
            "Headaches in the evening, about three times a week.",
            "Sore throat and a cough that do not go away.",
            "Pain in my lower back since I moved house.",
            "I would like to talk about my blood pressure at home.",
            "Stomach ache after meals.",
            "Trouble falling asleep since the summer.",
            "My knee hurts on the stairs.",
            "Questions about the new tablets.",
        ),
        share=5,
        suggested_for="everyone",
    ),
    DemoVisitType(
        "Short follow-up",
        20,
        "Bring the letter or the list of medicines from your last appointment.\nThink of what has changed since then.",
        (
            "Results of the blood test.",
            "Blood pressure check after four weeks on tablets.",
            "Looking at the wound once more.",
            "Check of my asthma plan.",
            "The cough is better, I would like to be sure.",
        ),
        share=4,
        suggested_for="returning",
    ),
    DemoVisitType(
        "Health check",
        60,
        "Eat and drink nothing but water for eight hours before the appointment.\n"
        "Take your usual medicines, unless we told you otherwise.\n"
        "Wear a top with loose sleeves for the blood pressure cuff.\n"
        "Bring a list of illnesses in your close family.",
        (
            "General check, the last one is five years ago.",
            "My father had diabetes, I would like to be tested.",
            "Check before I start running again.",
            "Yearly check of diabetes.",
        ),
    ),
    DemoVisitType(
        "Minor surgery",
        60,
        "Tell us when you call if you take blood thinners.\n"
        "You may eat and drink as usual.\n"
        "Do not drive yourself home: bring someone with you, or take a taxi.",
        buffer_before=10,
        buffer_after=15,
        online=False,
    ),
    DemoVisitType(
        "Skin check",
        20,
        "Come without make-up and nail varnish.\nMark the places that worry you, or take a photo of them beforehand.",
        (
            "A mole on my back has grown.",
            "Yearly check, I have many moles.",
            "Rough spot on my forehead that comes back.",
            "Check after treatment with the cream.",
        ),
        buffer_after=10,
        share=5,
        suggested_for="returning",
    ),
    DemoVisitType(
        "Skin consultation",
        30,
        "Bring the creams and soaps that you use.\n"
        "Leave the skin as it is on the day: no cream, no make-up.\n"
        "If it comes and goes, bring photos of a bad day.",
        (
            "Itching rash on both arms for a month.",
            "Eczema on my hands, worse since winter.",
            "Acne that creams from the pharmacy do not help.",
            "Hair loss since last spring.",
            "Red patches on my elbows.",
        ),
        buffer_before=5,
        buffer_after=10,
        share=3,
        suggested_for="new",
    ),
    DemoVisitType(
        "Small skin procedure",
        45,
        "You may eat and drink as usual.\n"
        "Tell us beforehand if you take blood thinners or have a pacemaker.\n"
        "Plan a quiet evening: no sport and no swimming for two days.",
        (
            "Removal of the mole that we talked about.",
            "Wart on my foot, two treatments did not help.",
            "Biopsy of the spot on my leg.",
        ),
        buffer_before=5,
        buffer_after=10,
        share=2,
    ),
    DemoVisitType(
        "Child check-up",
        30,
        "Bring the growth booklet and the vaccination card.\n"
        "A favourite toy or book helps.\n"
        "A parent or guardian stays for the whole appointment.",
        (
            "Fever three times in two months.",
            "She often has stomach ache before school.",
            "Yearly check of growth and hearing.",
            "He coughs at night.",
            "Questions about food allergies.",
            "Ear ache that comes back.",
        ),
        share=5,
        suggested_for="everyone",
    ),
    DemoVisitType(
        "Vaccination",
        20,
        "Bring the vaccination card.\n"
        "Wear something with short sleeves.\n"
        "Stay at home and call us if there is a fever on the day.",
        ("Vaccination at 14 months.", "Second dose.", "Flu vaccination.", "Catching up on a missed vaccination."),
        share=2,
    ),
    DemoVisitType(
        "Heart follow-up",
        20,
        "Bring all your medicines in their boxes.\nMeasure your blood pressure on three mornings and write it down.",
        (
            "Check three months after the new tablets.",
            "Results of the long ECG.",
            "Blood pressure at home is still high.",
            "Yearly check of the pacemaker letter.",
        ),
        buffer_after=10,
        share=5,
        suggested_for="returning",
    ),
    DemoVisitType(
        "Heart consultation",
        30,
        "Bring the letter from your own doctor and older ECGs, if you have any.\n"
        "Wear clothes that open at the front.\n"
        "Take your medicines as usual.",
        (
            "My heart beats fast when I lie down.",
            "Short of breath on the stairs.",
            "Dizzy when I stand up.",
            "Heart disease in the family, I would like advice.",
            "Pressure on the chest after walking, seen by my GP.",
        ),
        buffer_before=5,
        buffer_after=10,
        share=3,
        suggested_for="new",
    ),
    DemoVisitType(
        "Exercise ECG",
        45,
        "Bring sports shoes, comfortable clothes and a towel.\n"
        "Eat lightly, and not in the last two hours.\n"
        "No coffee, tea or cola on the day.\n"
        "Ask us which tablets to leave out that morning.",
        ("Test asked for by my GP.", "Check before I take up cycling again.", "Yearly test after the stent."),
        buffer_before=5,
        buffer_after=10,
        share=2,
    ),
    DemoVisitType(
        "Women’s health consultation",
        30,
        "Write down the first day of your last period.\n"
        "Bring earlier letters or results.\n"
        "You can bring someone with you, and you may ask for a pause at any time.",
        (
            "Painful periods for some months.",
            "Questions about the menopause.",
            "Smear test.",
            "Advice about contraception.",
            "Irregular bleeding.",
        ),
        share=4,
        suggested_for="everyone",
    ),
    DemoVisitType(
        "Pregnancy check",
        45,
        "Bring your pregnancy card and a list of your medicines.\n"
        "Drink two glasses of water in the hour before.\n"
        "Your partner is welcome.",
        (
            "Check at 12 weeks.",
            "Check at 20 weeks.",
            "First visit, I am about eight weeks along.",
            "Check at 28 weeks.",
        ),
        share=2,
    ),
    DemoVisitType(
        "Physiotherapy session",
        30,
        "Wear clothes that you can move in.\nBring a towel.\nDo your exercises once on the day, not more.",
        (
            "Third session for my shoulder.",
            "Exercises after the knee operation.",
            "Stiff neck from work at a screen.",
            "Ankle sprained at football.",
            "Back exercises, next step.",
        ),
        share=5,
        suggested_for="returning",
    ),
    DemoVisitType(
        "First physiotherapy visit",
        60,
        "Bring the referral and letters or scans, if you have any.\n"
        "Wear clothes that you can move in.\n"
        "Come ten minutes early for a short form.",
        (
            "Shoulder pain when I lift my arm.",
            "Back pain for six weeks.",
            "After a hip operation in the spring.",
            "Dizziness when turning my head.",
        ),
        share=2,
        suggested_for="new",
    ),
)

_SKIN = ("Skin check", "Skin consultation", "Small skin procedure", "Minor surgery")
_HEART = ("Heart follow-up", "Heart consultation", "Exercise ECG")
_CHILDREN = ("Vaccination", "Child check-up")

# The clinic's doctors get these in turn. Four in twelve work on a grid of 15 minutes.
SPECIALTIES = (
    Specialty("General practice", 30, ("GP consultation", "Health check", "Minor surgery"), "anyone"),
    Specialty("Dermatology", 15, _SKIN),
    Specialty("Children’s medicine", 20, _CHILDREN, "children"),
    Specialty("Cardiology", 15, _HEART),
    Specialty("Women’s health", 30, ("Women’s health consultation", "Pregnancy check"), "women"),
    Specialty("Physiotherapy", 30, ("Physiotherapy session", "First physiotherapy visit")),
    Specialty("General practice", 20, ("Short follow-up", "GP consultation", "Health check"), "anyone"),
    Specialty("Dermatology", 15, _SKIN),
    Specialty("Children’s medicine", 30, _CHILDREN, "children"),
    Specialty("Cardiology", 15, _HEART),
    Specialty("General practice", 30, ("GP consultation", "Health check"), "anyone"),
    Specialty("Physiotherapy", 30, ("Physiotherapy session", "First physiotherapy visit")),
)

# Only reasons mention health.
NOTES = (
    "Please speak slowly, Dutch is new to me.",
    "My daughter comes with me.",
    "I come by taxi and may be a little early.",
    "Please call my mobile number if you are late.",
    "I bring my baby in a pram.",
)

CANCELLATION_REASONS = (
    "It is no longer needed.",
    "Something came up at work.",
    "I cannot get there that day.",
    "I found an earlier time.",
)
