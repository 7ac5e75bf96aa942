//+------------------------------------------------------------------+
//|                                                     Settings.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What the inputs of the program say, checked.

#ifndef BRIDGE_APP_SETTINGS_MQH
#define BRIDGE_APP_SETTINGS_MQH

#include <Bridge/Support/Log.mqh>
#include <Bridge/Wire/Spec.mqh>

#define APPLICATION_PROGRAM "mt5-zmq-bridge EA 0.1.0"

struct SSettings
  {
   string            alias;
   uchar             key[WIRE_KEY_SIZE];
   string            relay_host;
   int               relay_port;
   int               pump_ms;
   int               timer_ms;
   ENUM_LOG_LEVEL    log_level;
  };

#endif // BRIDGE_APP_SETTINGS_MQH
