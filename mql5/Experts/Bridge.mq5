//+------------------------------------------------------------------+
//|                                                       Bridge.mq5 |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Streams this terminal's ticks to the relay, trades for its clients, answers what it asks. No DLL.
// Everything is in CApplication; this file has the inputs, their checks, and the event handlers.

#property copyright   "mt5-zmq-bridge contributors, MIT licence"
#property version     "0.10"
#property description "Streams ticks to the mt5-zmq-bridge relay, and trades for the relay's clients."
#property description "Allow the relay's address first: Tools > Options > Expert Advisors > Allow WebRequest for listed URL."
#property description "One chart is enough for all symbols. Algo Trading need not be on for ticks."

#include <Bridge/App/Application.mqh>

input group          "Who this terminal is"
input string         InpAlias     = BRIDGE_DEFAULT_ALIAS;      // Name of this terminal in the relay
input string         InpKey       = "";                        // Its key: 64 hex digits from the relay's key file
input group          "Where the relay is"
input string         InpRelayHost = BRIDGE_DEFAULT_RELAY_HOST; // Address of the relay
input int            InpRelayPort = BRIDGE_DEFAULT_RELAY_PORT; // Port of the relay for terminals
input group          "What may be traded: no message can raise these"
input bool           InpMarketOnly   = false;                  // Only stream: another program may trade this account
input bool           InpReadOnly     = false;                  // Trade nothing at all
input bool           InpDemoOnly     = true;                   // Trade demo accounts only
input string         InpSymbols      = "";                     // Symbols that may be traded, with commas; empty: all
input double         InpMaxVolume    = 0.0;                    // Largest volume of an order in lots; 0: any
input int            InpMaxPerMinute = 0;                      // Orders in a minute, at most; 0: any number
input int            InpMaxPositions = 0;                      // Open positions, at most; 0: any number
input group          "When the relay is gone for long"
input int            InpDeadManS     = 0;                      // Seconds without a relay before that; 0: never
input ENUM_DEAD_MAN_ACTION InpDeadManAction = DEAD_MAN_NOTHING; // What is done then
input group          "How this program works"
input int            InpPumpMs    = 14;                        // Wait in one event for more, at most (ms)
input int            InpTimerMs   = 10;                        // Time between two looks for ticks (ms)
input bool           InpSendAsync = false;                     // Send orders without waiting, so that ticks go on
input ENUM_LOG_LEVEL InpLogLevel  = LOG_LEVEL_INFO;            // What is written to the Experts tab

#define ALIAS_LENGTH_MAX 31
#define PUMP_MS_MAX      1000
#define TIMER_MS_MAX     1000
#define DEAD_MAN_S_MAX   604800

CApplication *g_application=NULL;

// Refuse to start, and say why where it is seen.
int Refuse(const string text)
  {
   Print("Bridge does not start: ",text);
   Comment("Bridge does not start: ",text);
   return(INIT_PARAMETERS_INCORRECT);
  }

bool IsAlias(const string alias)
  {
   const int length=StringLen(alias);
   if(length<1 || length>ALIAS_LENGTH_MAX)
      return(false);
   for(int i=0; i<length; i++)
     {
      const ushort c=StringGetCharacter(alias,i);
      const bool plain=((c>='a' && c<='z') || (c>='0' && c<='9'));
      if(!plain && (i==0 || (c!='-' && c!='_')))
         return(false);
     }
   return(true);
  }

// What is wrong with the inputs, or an empty text; then settings are filled.
string CheckInputs(SSettings &settings)
  {
   uchar key[];
   if(!IsAlias(InpAlias))
      return("InpAlias: expected 1 to 31 of a-z, 0-9, '-' and '_', the first one a letter or a digit");
   if(StringLen(InpKey)==0)
      return("InpKey is empty: copy the 64 hex digits of the relay's key file of '"+InpAlias+"' into it");
   if(StringLen(InpKey)!=2*WIRE_KEY_SIZE || HexToBytes(InpKey,key)!=WIRE_KEY_SIZE)
      return("InpKey: expected 64 hex digits, as in the relay's key file of '"+InpAlias+"'");
   if(StringLen(InpRelayHost)==0)
      return("InpRelayHost is empty: expected an address such as 127.0.0.1");
   if(InpRelayPort<1 || InpRelayPort>65535)
      return("InpRelayPort: expected a port from 1 to 65535");
   if(InpRelayPort==443)
      return("InpRelayPort: 443 cannot be used, MetaTrader begins TLS there by itself");
   if(InpPumpMs<0 || InpPumpMs>PUMP_MS_MAX)
      return("InpPumpMs: expected 0 to "+IntegerToString(PUMP_MS_MAX));
   if(InpTimerMs<1 || InpTimerMs>TIMER_MS_MAX)
      return("InpTimerMs: expected 1 to "+IntegerToString(TIMER_MS_MAX));
   if(!MathIsValidNumber(InpMaxVolume) || InpMaxVolume<0.0)
      return("InpMaxVolume: expected lots, or 0 for any volume");
   if(InpMaxPerMinute<0)
      return("InpMaxPerMinute: expected a number of orders, or 0 for any");
   if(InpMaxPositions<0)
      return("InpMaxPositions: expected a number of positions, or 0 for any");
   if(InpDeadManS<0 || InpDeadManS>DEAD_MAN_S_MAX)
      return("InpDeadManS: expected seconds up to "+IntegerToString(DEAD_MAN_S_MAX)+", or 0 for never");
   if((InpDeadManS>0)!=(InpDeadManAction!=DEAD_MAN_NOTHING))
      return("InpDeadManS and InpDeadManAction: expected both or none of them");
   settings.alias=InpAlias;
   if(ArrayCopy(settings.key,key)!=WIRE_KEY_SIZE)
      return("InpKey cannot be copied: the terminal has no memory left");
   settings.relay_host=InpRelayHost;
   settings.relay_port=InpRelayPort;
   settings.pump_ms=InpPumpMs;
   settings.timer_ms=InpTimerMs;
   settings.log_level=InpLogLevel;
   settings.role=(uint)(InpMarketOnly ? ROLE_MARKET : ROLE_BOTH);
   settings.read_only=InpReadOnly;
   settings.demo_only=InpDemoOnly;
   settings.symbols=InpSymbols;
   settings.max_volume=InpMaxVolume;
   settings.max_per_minute=InpMaxPerMinute;
   settings.max_positions=InpMaxPositions;
   settings.send_async=InpSendAsync;
   settings.dead_man_s=InpDeadManS;
   settings.dead_man_action=InpDeadManAction;
   return("");
  }

// What this terminal's build does differently from what the protocol needs, or an empty text.
string SelfTest(void)
  {
   string problem="";
   if(!CHmac::SelfTest(problem))
      return(problem);
   if(sizeof(MqlTick)!=MQL_TICK_SIZE)
      return("MqlTick has "+IntegerToString(sizeof(MqlTick))+" bytes instead of "+IntegerToString(MQL_TICK_SIZE));
   if(DoubleToBits(1.0)!=0x3FF0000000000000)
      return("a double is not what IEEE 754 says");
   uchar digits[]={'1','2','3','4','5','6','7','8','9'};
   CCrc32 crc32;
   if(crc32.Of(digits)!=0xCBF43926)
      return("the CRC-32 is not computed as it should be");
   return("");
  }

int OnInit(void)
  {
   SSettings settings={};
   if(CheckPointer(g_application)!=POINTER_INVALID)
      delete g_application;
   g_application=NULL;
   if(MQLInfoInteger(MQL_TESTER)!=0)
     {
      Print("Bridge does nothing in the Strategy Tester: MetaTrader has no sockets there");
      return(INIT_SUCCEEDED);
     }
   string problem=SelfTest();
   if(StringLen(problem)>0)
     {
      Print("Bridge does not start, its self-test failed: ",problem);
      Comment("Bridge does not start, its self-test failed: ",problem);
      return(INIT_FAILED);
     }
   problem=CheckInputs(settings);
   if(StringLen(problem)>0)
      return(Refuse(problem));
   ResetLastError();
   if(!EventSetMillisecondTimer(InpTimerMs))
     {
      Print("Bridge does not start: the timer could not be set (error ",GetLastError(),")");
      return(INIT_FAILED);
     }
   g_application=new CApplication(settings);
   if(CheckPointer(g_application)==POINTER_INVALID)
      return(INIT_FAILED);
   g_application.Start();
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   EventKillTimer();
   if(CheckPointer(g_application)==POINTER_INVALID)
      return;
   g_application.Stop(reason);
   delete g_application;
   g_application=NULL;
  }

void Poll(const bool everything)
  {
   if(CheckPointer(g_application)!=POINTER_INVALID)
      g_application.Poll(everything);
  }

void OnTick(void)
  {
   Poll(false);
  }

void OnTimer(void)
  {
   Poll(true);
  }

void OnBookEvent(const string &symbol)
  {
   if(CheckPointer(g_application)!=POINTER_INVALID)
      g_application.BookChanged(symbol);
  }

void OnTradeTransaction(const MqlTradeTransaction &transaction,const MqlTradeRequest &request,
                        const MqlTradeResult &result)
  {
   if(CheckPointer(g_application)!=POINTER_INVALID)
      g_application.TradeHappened(transaction,request,result);
  }
