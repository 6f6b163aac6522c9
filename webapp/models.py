"""Imports all tables, for migrations: importing this module fills `Base.metadata`."""

from webapp.appointments.models import Call, FormerNote, NotificationLine, NotificationList, PendingDecision, WalkIn
from webapp.audit.models import POSTGRESQL_APPEND_ONLY, SQLITE_APPEND_ONLY, AuditEvent, SecurityEvent
from webapp.auth.models import (
    ApiToken,
    AuthenticatorApp,
    Draft,
    FailedLogin,
    LinkedIdentity,
    Passkey,
    PasskeyChallenge,
    PasswordLink,
    RecoveryCode,
    RefreshToken,
    SignInCode,
    SignInRules,
    SpentSignOn,
    User,
    UserSession,
)
from webapp.clinic.models import ClinicDocument, ClinicSettings, Closure, Consent, OpeningHours, VisitType
from webapp.clinic.schedule_version_models import ScheduleVersion
from webapp.database import Base
from webapp.doctors.models import Doctor, ExtraHours, TimeOff, WorkingHours, doctor_visit_types
from webapp.heartbeats.models import Heartbeat
from webapp.idempotency.models import IdempotencyKey
from webapp.live.models import LiveChange
from webapp.notifications.models import OutboxMessage
from webapp.patients.models import JoinedRecord, Patient, PatientWord, PossibleDuplicate
from webapp.scheduling.busy_times import BusyTime
from webapp.scheduling.models import SQLITE_GUARD, Appointment
from webapp.staff.board.models import BoardChoice

__all__ = [
    "POSTGRESQL_APPEND_ONLY",
    "SQLITE_APPEND_ONLY",
    "SQLITE_GUARD",
    "ApiToken",
    "Appointment",
    "AuditEvent",
    "AuthenticatorApp",
    "Base",
    "BoardChoice",
    "BusyTime",
    "Call",
    "ClinicDocument",
    "ClinicSettings",
    "Closure",
    "Consent",
    "Doctor",
    "Draft",
    "ExtraHours",
    "FailedLogin",
    "FormerNote",
    "Heartbeat",
    "IdempotencyKey",
    "JoinedRecord",
    "LinkedIdentity",
    "LiveChange",
    "NotificationLine",
    "NotificationList",
    "OpeningHours",
    "OutboxMessage",
    "Passkey",
    "PasskeyChallenge",
    "PasswordLink",
    "Patient",
    "PatientWord",
    "PendingDecision",
    "PossibleDuplicate",
    "RecoveryCode",
    "RefreshToken",
    "ScheduleVersion",
    "SecurityEvent",
    "SignInCode",
    "SignInRules",
    "SpentSignOn",
    "TimeOff",
    "User",
    "UserSession",
    "VisitType",
    "WalkIn",
    "WorkingHours",
    "doctor_visit_types",
]
