// MQL5's language in C++: what the generated code and the library stand on.
//
//   language_base.hpp       types, critical errors, _LastError, checked division
//   language_string.hpp     mql::string
//   language_array.hpp      darr, aref, caref, at()
//   language_object.hpp     mql_object, pointers, storage of globals
//   language_text.hpp       values as text and back, StringFormat, Print
//   language_functions.hpp  Array*, ZeroMemory, StructToCharArray, MathMax ...
//
// The functions of MQL5 that are declared here, and nowhere else (they are templates, or the
// language needs them): GetLastError ResetLastError SetUserError CheckPointer GetPointer
// StringFormat Print PrintFormat printf Comment Alert ZeroMemory ArraySize ArrayRange
// ArrayIsDynamic ArrayResize ArrayFree ArrayCopy ArrayFill ArrayInitialize ArrayRemove ArrayInsert
// ArraySwap ArrayReverse ArrayCompare StructToCharArray CharArrayToStruct MathMax MathMin MathAbs,
// ENUM_POINTER_TYPE, and EnumToString of the source's own enumerations.
//
// Rule: whatever MQL5 ends an expert for is a critical() here; whatever it leaves undefined is
// poisoned or critical() too, so that a test fails instead of passing by luck.
#pragma once

#include "language_base.hpp"
#include "language_string.hpp"
#include "language_array.hpp"
#include "language_object.hpp"
#include "language_text.hpp"
#include "language_functions.hpp"
