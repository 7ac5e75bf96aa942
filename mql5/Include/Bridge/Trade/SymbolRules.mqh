//+------------------------------------------------------------------+
//|                                                  SymbolRules.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What a symbol says about its orders: steps of prices and volumes, filling, lifetime; and the
// arithmetic of doubles that are multiples of a step.
//
// A rounded number is the double nearest to the decimal number that is meant. Halves go to the even
// neighbour as in Python, so that both terminals send the same.
// May touch: properties of symbols, the newest tick, Market Watch.
// What must change together: this file, bridge/sim/trading_request.py.

#ifndef BRIDGE_TRADE_SYMBOLRULES_MQH
#define BRIDGE_TRADE_SYMBOLRULES_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Trade/Structures.mqh>

//--- decimals that a step of volumes can have
#define VOLUME_DIGITS       8
//--- decimals that a price can have
#define PRICE_DIGITS_MAX    15
//--- from here on a double has no place for decimals
#define DOUBLE_WHOLE_FROM   4503599627370496.0

//+------------------------------------------------------------------+
//| Numbers                                                          |
//+------------------------------------------------------------------+
// The nearest whole number; a half goes to the even one, and there is no negative zero.
double RoundHalfEven(const double value)
  {
   const double below=MathFloor(value)+0.0;
   const double rest=value-below;
   if(rest<0.5)
      return(below);
   if(rest>0.5 || MathMod(below,2.0)>0.5)
      return(below+1.0);
   return(below);
  }

// The nearest double to a number with so many decimals.
double RoundDigits(const double value,const int digits)
  {
   double power=1.0;
   for(int i=0; i<digits && i<PRICE_DIGITS_MAX; i++)
      power*=10.0;
   const double scaled=value*power;
   if(MathAbs(scaled)>=DOUBLE_WHOLE_FROM)
      return(value);
   return(RoundHalfEven(scaled)/power);
  }

// Whether a number is a multiple of a step, but for what a double is wrong by.
bool FitsStep(const double value,const double step)
  {
   const double steps=value/step;
   return(MathAbs(steps-RoundHalfEven(steps))<=REQUEST_STEP_TOLERANCE+steps*REQUEST_DOUBLE_NOISE);
  }

// A number in as few digits as tell it apart from every other double.
string ShortestText(const double value)
  {
   if(!MathIsValidNumber(value))
      return("no number");
   string text=StringFormat("%.15g",value);
   if(DoubleToBits(StringToDouble(text))!=DoubleToBits(value))
      text=StringFormat("%.16g",value);
   if(DoubleToBits(StringToDouble(text))!=DoubleToBits(value))
      text=StringFormat("%.17g",value);
   if(StringFind(text,".")<0 && StringFind(text,"e")<0)
      text+=".0";
   return(text);
  }

//+------------------------------------------------------------------+
//| The rules of one symbol                                          |
//+------------------------------------------------------------------+
class CSymbolRules
  {
private:
   string            m_name;
   int               m_digits;
   double            m_point;
   double            m_tick_size;
   double            m_volume_min;
   double            m_volume_max;
   double            m_volume_step;
   long              m_execution;       // ENUM_SYMBOL_TRADE_EXECUTION
   long              m_filling_mode;    // bits
   long              m_expiration_mode; // bits

public:
                     CSymbolRules(void);
   static bool       Exists(const string symbol);
   bool              Read(const string symbol,string &problem);
   string            Name(void) const { return(m_name); }
   double            Point(void) const { return(m_point); }
   double            TickSize(void) const { return(m_tick_size); }
   double            VolumeMin(void) const { return(m_volume_min); }
   double            VolumeMax(void) const { return(m_volume_max); }
   double            VolumeStep(void) const { return(m_volume_step); }
   double            Price(const bool is_buy) const;
   double            RoundedPrice(const double price) const;
   double            SteppedVolume(const double volume) const;
   ENUM_ORDER_TYPE_FILLING Filling(void) const;
   ENUM_ORDER_TYPE_TIME Lifetime(void) const;
  };

CSymbolRules::CSymbolRules(void) : m_name(""),
                                   m_digits(0),
                                   m_point(0.0),
                                   m_tick_size(0.0),
                                   m_volume_min(0.0),
                                   m_volume_max(0.0),
                                   m_volume_step(0.0),
                                   m_execution(0),
                                   m_filling_mode(0),
                                   m_expiration_mode(0)
  {
  }

// Whether the terminal has a symbol of exactly this name.
bool CSymbolRules::Exists(const string symbol)
  {
   bool is_custom=false;
   return(symbol!="" && SymbolExist(symbol,is_custom));
  }

// Read the rules of a symbol as they are now; false when they do not allow any order.
bool CSymbolRules::Read(const string symbol,string &problem)
  {
   m_name=symbol;
   long digits=0;
   bool read=SymbolInfoInteger(symbol,SYMBOL_DIGITS,digits);
   read=SymbolInfoInteger(symbol,SYMBOL_TRADE_EXEMODE,m_execution) && read;
   read=SymbolInfoInteger(symbol,SYMBOL_FILLING_MODE,m_filling_mode) && read;
   read=SymbolInfoInteger(symbol,SYMBOL_EXPIRATION_MODE,m_expiration_mode) && read;
   read=SymbolInfoDouble(symbol,SYMBOL_POINT,m_point) && read;
   read=SymbolInfoDouble(symbol,SYMBOL_TRADE_TICK_SIZE,m_tick_size) && read;
   read=SymbolInfoDouble(symbol,SYMBOL_VOLUME_MIN,m_volume_min) && read;
   read=SymbolInfoDouble(symbol,SYMBOL_VOLUME_MAX,m_volume_max) && read;
   read=SymbolInfoDouble(symbol,SYMBOL_VOLUME_STEP,m_volume_step) && read;
   if(!read)
     {
      problem="the terminal does not tell the properties of '"+PrintableText(symbol)+"'";
      return(false);
     }
   m_digits=(int)digits;
   if(m_digits<0 || m_digits>PRICE_DIGITS_MAX)
      m_digits=PRICE_DIGITS_MAX;
   //--- some servers leave the tick size out where it is the point
   if(!(m_tick_size>0.0))
      m_tick_size=m_point;
   if(!(m_volume_step>0.0))
      m_volume_step=m_volume_min;
   if(!(m_tick_size>0.0 && m_point>0.0 && m_volume_step>0.0))
     {
      problem="'"+PrintableText(symbol)+"' has no tick size or no volume step";
      return(false);
     }
   return(true);
  }

// The price at which a market order is sent; 0 without a quote: the trade server says what it
// thinks of that.
double CSymbolRules::Price(const bool is_buy) const
  {
   MqlTick tick={};
   if(!SymbolInfoTick(m_name,tick))
     {
      // A symbol that is not in Market Watch has no quotes.
      if(SymbolInfoInteger(m_name,SYMBOL_SELECT)!=0 || !SymbolSelect(m_name,true)
         || !SymbolInfoTick(m_name,tick))
         return(0.0);
     }
   return(is_buy ? tick.ask : tick.bid);
  }

// To the tick size, which is not always the digits.
double CSymbolRules::RoundedPrice(const double price) const
  {
   return(RoundDigits(RoundHalfEven(price/m_tick_size)*m_tick_size,m_digits));
  }

// 3*0.1 is not 0.3: as many decimals as a step can have.
double CSymbolRules::SteppedVolume(const double volume) const
  {
   return(RoundDigits(RoundHalfEven(volume/m_volume_step)*m_volume_step,VOLUME_DIGITS));
  }

// A filling that the symbol has for market orders.
ENUM_ORDER_TYPE_FILLING CSymbolRules::Filling(void) const
  {
   if(m_execution==(long)SYMBOL_TRADE_EXECUTION_REQUEST || m_execution==(long)SYMBOL_TRADE_EXECUTION_INSTANT)
      return(ORDER_FILLING_FOK);
   if((m_filling_mode & SYMBOL_FILLING_IOC)!=0)
      return(ORDER_FILLING_IOC);
   if((m_filling_mode & SYMBOL_FILLING_FOK)!=0)
      return(ORDER_FILLING_FOK);
   return(ORDER_FILLING_RETURN);
  }

// A lifetime that the symbol has for pending orders.
ENUM_ORDER_TYPE_TIME CSymbolRules::Lifetime(void) const
  {
   if((m_expiration_mode & SYMBOL_EXPIRATION_GTC)==0 && (m_expiration_mode & SYMBOL_EXPIRATION_DAY)!=0)
      return(ORDER_TIME_DAY);
   return(ORDER_TIME_GTC);
  }

#endif // BRIDGE_TRADE_SYMBOLRULES_MQH
