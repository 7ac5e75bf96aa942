//+------------------------------------------------------------------+
//|                                                      MsgPack.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Msgpack for messages: a writer, a reader, and a map to look values up in.
// This file is the three of them together; MsgPackTokens.mqh is what they stand on.
//
// Rule 1: both have a mark of failure that stays: write or read all fields, then ask once. A
// reader that has failed gives zeros and empty texts.
// Rule 2: every length from the wire is compared with what is there before anything is touched.
// Rule 3: what is accepted is exactly what bridge/wire/fields.py and messages.py accept: every
// integer form, str as UTF-8, keys that stand once, at most 4096 elements and 256 entries, no
// extension types. What must change together: this file and those two.
// Rule 4: the shortest form of every value, as Python's msgpack has it.

#ifndef BRIDGE_WIRE_MSGPACK_MQH
#define BRIDGE_WIRE_MSGPACK_MQH

#include <Bridge/Wire/MsgPackReader.mqh>
#include <Bridge/Wire/MsgPackWriter.mqh>
#include <Bridge/Wire/MsgPackMap.mqh>

#endif // BRIDGE_WIRE_MSGPACK_MQH
