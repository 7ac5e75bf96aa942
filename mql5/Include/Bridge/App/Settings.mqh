//+------------------------------------------------------------------+
//|                                                     Settings.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What the inputs of the program say, checked.

#ifndef BRIDGE_APP_SETTINGS_MQH
#define BRIDGE_APP_SETTINGS_MQH

#include <Bridge/Support/Log.mqh>
#include <Bridge/Wire/Spec.mqh>
#include <Bridge/Trade/DeadMan.mqh>

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
   uint              role;             // ENUM_WIRE_ROLE: what its sessions are for
   //--- limits of what is traded, which no message can raise: 0 and "" for none
   bool              read_only;
   bool              demo_only;
   string            symbols;          // separated by commas
   double            max_volume;       // of one order, in lots
   int               max_per_minute;   // orders
   int               max_positions;    // open ones
   bool              send_async;       // by OrderSendAsync
   //--- when the relay is gone for so long, 0: never
   int               dead_man_s;
   ENUM_DEAD_MAN_ACTION dead_man_action;
  };

#endif // BRIDGE_APP_SETTINGS_MQH
