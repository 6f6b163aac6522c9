"""The base of all HTML forms. Forms check the shape, services check the rules; both put errors next to the field.

A route that takes a form reads from top to bottom: a `Submission` collects the errors, and the page is shown again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from pydantic import BaseModel, ValidationError
from wtforms import (
    BooleanField,
    Field,
    Form,
    HiddenField,
    PasswordField,
    SearchField,
    SelectFieldBase,
    SelectMultipleField,
    StringField,
)
from wtforms.fields.core import UnboundField
from wtforms.form import BaseForm
from wtforms.meta import DefaultMeta
from wtforms.widgets import CheckboxInput, ListWidget

from webapp.core import typed_texts
from webapp.core.optimistic_lock import EditedMeanwhile
from webapp.core.text import tidy
from webapp.core.typed_texts import TypedTexts
from webapp.exceptions import AppError, Invalid, NotFound
from webapp.i18n import gettext as _
from webapp.i18n import lazy_form_text as _l
from webapp.i18n import ngettext

Command = TypeVar("Command", bound=BaseModel)
T = TypeVar("T")

# The field with which a page asks for a form to be shown, filled in.
UNSENT = "unsent"
# The attribute in which templates find the value that another user has saved meanwhile.
THEIRS = "theirs"
# Pydantic's own sentences are for programmers.
SENTENCES = {
    "string_too_long": _l("This is too long. Use up to %(max_length)d characters."),
    "string_too_short": _l("Use at least %(min_length)d characters."),
    "missing": _l("Fill this in."),
}


# WTForms' own sentences. Its catalogues do not know the reader's language, so ours contain these, too.
WTFORMS_SENTENCES = (
    _l("Not a valid choice."),
    _l("Invalid Choice: could not coerce."),
    _l("This field is required."),
)


class _ReadersTranslations:
    """Translates WTForms' own sentences."""

    gettext = staticmethod(_)
    ngettext = staticmethod(ngettext)


class _Tidied:
    """The sent form, as WTForms reads it, without the invisible signs of pasted text. Passwords stay as typed."""

    def __init__(self, sent: Any, secret: set[str]) -> None:
        self._sent = sent
        self._secret = secret

    def __iter__(self) -> Iterator[str]:
        return iter(self._sent)

    def __len__(self) -> int:
        return len(self._sent)

    def __contains__(self, name: str) -> bool:
        return name in self._sent

    def getlist(self, name: str) -> list[Any]:
        """All values of a field."""
        values = self._sent.getlist(name)
        return values if name in self._secret else [tidy(each) if isinstance(each, str) else each for each in values]


def _is_typed(kind: type[Field]) -> bool:
    """Whether users type into fields of this kind. Days, times and numbers are chosen, or short."""
    return issubclass(kind, StringField) and not issubclass(kind, (HiddenField, PasswordField, SearchField))


class AddressQuery(Protocol):
    """The values in an address, of which several may have one name."""

    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def __contains__(self, key: Any, /) -> bool: ...
    def getlist(self, key: str, /) -> list[str]:
        """All values of this name."""


class DocketForm(Form):
    """A WTForms form that takes errors from schemas and services. `sentences` are this form's own words by field.

    Text comes into its fields as `core/text.py` tidies it.
    """

    sentences: dict[str, str] = {}  # noqa: RUF012 - subclasses replace it and never change it.

    class Meta(DefaultMeta):
        """WTForms' settings for our forms."""

        def get_translations(self, form: BaseForm) -> _ReadersTranslations:
            """Translate into the reader's language."""
            return _ReadersTranslations()

        def wrap_formdata(self, form: BaseForm, formdata: Any) -> Any:
            """Tidy what was sent, before any field reads it."""
            sent = super().wrap_formdata(form, formdata)
            secret = {field.name for field in form if isinstance(field, PasswordField)}
            return None if sent is None else _Tidied(sent, secret)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        fields = ((name, field) for base in cls.__mro__ for name, field in vars(base).items())
        typed_texts.names.update(
            name for name, field in fields if isinstance(field, UnboundField) and _is_typed(field.field_class)
        )

    @classmethod
    def of_address(cls, query: AddressQuery) -> Self:
        """The form with the values in an address, such as the filters of a list.

        Raises:
            Invalid: a field has several values, of which all but one would be ignored.
        """
        form = cls(query)
        for field in form:
            if len(set(query.getlist(field.name))) > 1 and not isinstance(field, SelectMultipleField):
                message = _("The address has more than one value for “%(field)s”. Choose one.")
                raise Invalid(message % {"field": field.label.text}, field=field.name)
        return form

    # Whether the form comes from the page that continues after signing in: then it is shown and not carried out.
    unsent: bool = False

    def process(self, formdata: Any = None, *args: Any, **kwargs: Any) -> None:
        """Fill the fields, as WTForms does."""
        super().process(formdata, *args, **kwargs)
        self.unsent = bool(formdata) and UNSENT in formdata
        texts = getattr(formdata, "texts", None)
        if isinstance(texts, TypedTexts):
            texts.labels.update({field.name: field.label.text for field in self if _is_typed(type(field))})

    def validate(self, extra_validators: Any = None) -> bool:
        """Whether the form can be carried out."""
        return bool(super().validate(extra_validators)) and not self.unsent

    def add_error(self, error: AppError) -> None:
        """Put an error next to its field, or at the top of the form where it has no visible field."""
        field = self._fields.get(error.field or "")
        if field is None or getattr(field.widget, "input_type", "") == "hidden":
            self.form_errors.append(error.message)
        else:
            field.errors = [*field.errors, error.message]

    def compare_with(self, saved: DocketForm) -> None:
        """Show next to each field the value that another user has saved meanwhile, and take over the `seen` of `saved`.
        `saved` is the same form, filled with the present values.
        """
        for name, field in self._fields.items():
            theirs = saved[name]
            if name == "seen":
                field.data = theirs.data
            elif field.data != theirs.data and getattr(field.widget, "input_type", "") != "hidden":
                # How a telephone number is shown is only known when the page is rendered.
                setattr(field, THEIRS, partial(shown_value, theirs))

    def parse(self, schema: type[Command], **values: Any) -> Command | None:
        """The validated command, or None after every error was put next to its field."""
        try:
            command = schema(**values)
        except ValidationError as failure:
            for problem in failure.errors():
                name = str(problem["loc"][0]) if problem["loc"] else ""
                if name in self._fields and self._fields[name].errors:
                    continue  # The form already has an error for this field.
                sentence = self.sentences.get(name) or SENTENCES.get(problem["type"])
                message = sentence % problem.get("ctx", {}) if sentence else _("Check what you entered here.")
                self.add_error(AppError(message, field=name))
            return None
        return None if self.errors or self.unsent else command


class NotFilledIn(Exception):
    """The form has errors, which are shown next to its fields."""


class Submission:
    """One sent form. An error in its block is put next to the form's field, and the code after the block runs:

        with Submission(form, saved_form=details_form) as submission:
            command = submission.read(form.command)
            page.write(settings.change_details, actor, command, seen=form.seen.data or "", now=page.now)
            return page.redirect("/admin/clinic", flash=_("The clinic’s details are saved."))
        return _details_page(page, form, status=submission.status)

    `saved_form` makes a form with the values that another user has saved meanwhile, to be compared with this one. A
    NotFound is not caught, because the subject of the form is gone, unless `keeps_not_found` says that the form shows
    it.
    """

    def __init__(
        self,
        form: DocketForm,
        *,
        saved_form: Callable[[Any], DocketForm] | None = None,
        keeps_not_found: bool = False,
    ) -> None:
        self.form = form
        self.status = 422
        self.error: AppError | None = None
        self._saved_form = saved_form
        self._keeps_not_found = keeps_not_found

    def read(self, command: Callable[[], T | None]) -> T:
        """Validate the form, and return its command.

        Raises:
            NotFilledIn: the form has errors and is shown again with 422. The block ends here.
        """
        found = command() if self.form.validate() else None
        if found is None:
            raise NotFilledIn
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> bool:
        if isinstance(error, NotFilledIn):
            return True
        if not isinstance(error, AppError) or (isinstance(error, NotFound) and not self._keeps_not_found):
            return False
        if isinstance(error, EditedMeanwhile) and self._saved_form is not None:
            self.form.compare_with(self._saved_form(error.saved))
        self.form.add_error(error)
        self.error, self.status = error, error.status
        return True


class CheckboxesField(SelectMultipleField):
    """Several choices, each with its own check box."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


def shown_value(field: Field) -> str:
    """The value of a field in words."""
    if isinstance(field, SelectFieldBase):
        chosen = [str(choice.label.text) for choice in field if choice.checked]
        return ", ".join(chosen) or _("nothing")
    if isinstance(field, BooleanField):
        return _("yes") if field.data else _("no")
    read: Callable[[], str] = getattr(field, "_value")  # noqa: B009 - WTForms' types leave it out.
    return read() or _("nothing")
